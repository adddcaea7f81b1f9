// Package ws is the WebSocket transport: an [http.Handler] that joins each
// client to a hub.
//
//	mux.Handle("/ws", ws.New(hub, &ws.Options{Remaining: engine.Remaining}))
//
// The first frame is a status with the client's id. A client that keeps up costs
// one goroutine, which reads; batches are framed once for all clients and written
// without waiting for any.
package ws
