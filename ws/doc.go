// Package ws is the WebSocket transport. Its [Handler] is an [http.Handler] that
// joins each client to a hub.
//
//	mux.Handle("/ws", ws.New(hub, &ws.Options{Remaining: engine.Remaining}))
//
// The first frame is a status with the client's id. A client that is not behind
// costs one goroutine, which reads. Each batch is encoded once for all clients and is
// written without waiting for any client.
//
// A client on a slow line stays connected as long as it takes bytes, see
// Options.WriteTimeout. A client that is lost is noticed by pings, see
// Options.PingInterval. A ping before the end of each prompt asks the client for a
// receipt; a client that comes back is sent again the prompts without a receipt.
//
// The package reads and writes WebSocket frames itself, and uses coder/websocket only for
// the type of the error after a close frame. A library's reader costs several kilobytes
// for each idle client.
package ws
