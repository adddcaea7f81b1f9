// Package client receives a server's events in another Go program.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8188/ws", nil)
//	client.On(c, func(ev nodebus.Event, p nodebus.Progress) { fmt.Println(p.UniqueID, p.Value, p.Max) })
//	for ev, err := range c.Events(ctx) { … }
//
// A prompt whose ClientID is the client's [Client.ID] sends its events to this client. How
// the prompt reaches the server is not the client's matter: a program that has an engine
// calls Engine.Submit, other programs send a request to a route of the server.
//
// NaN and infinities arrive as null. In a Go struct, a null leaves a field as it is: a
// number is then 0. A listener that must know the difference has fields of type *float64,
// which are nil.
//
// Any number of loops may run at once, and each receives all of its events. Only loops read
// the connection, and Watch and Unwatch while they wait; without them nothing happens. The
// client reconnects after a broken connection, and then receives the missed events. With
// [Client.Cursor] and Options.Since, it does so after a restart of its program, too.
package client
