// Package ws is the WebSocket transport. Its [Handler] is an [http.Handler] that
// joins each client to a hub.
//
//	mux.Handle("/ws", ws.New(hub, &ws.Options{Remaining: engine.Remaining}))
//
// The first frame is a status with the client's id. A client that is not behind
// costs one goroutine, which reads. Each batch is encoded once for all clients and is
// written without waiting for any client.
package ws
