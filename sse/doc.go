// Package sse is the transport for Server-Sent Events: one HTTP response per client
// that does not end. Its [Handler] is an [http.Handler] that joins each client to a hub.
//
//	mux.Handle("/events", sse.New(hub, &sse.Options{Remaining: engine.Remaining}))
//
// A page reads the stream with the browser's EventSource, which also reconnects and
// continues after the last event. A program needs an HTTP client only.
//
//	const source = new EventSource("/events?watch=" + prompt);
//	source.onmessage = ({ data }) => { const { type, data: body } = JSON.parse(data); … };
//
// The stream goes in one direction. Package ws is for clients that also send messages,
// or that need the bytes of binary events.
package sse
