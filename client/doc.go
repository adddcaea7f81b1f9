// Package client submits prompts to a server, follows them and waits for them, in another
// Go program.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8188/ws", nil)
//	client.On(c, func(ev nodebus.Event, p nodebus.Progress) { fmt.Println(p.UniqueID, p.Value, p.Max) })
//	id, err := c.Submit(ctx, &nodebus.Prompt{Nodes: nodes})
//	for ev, err := range c.Follow(ctx, id) { … }
//	outcome, err := c.Wait(ctx, id)
//
// The server is package comfy, or ComfyUI. A server with package ws or sse alone has the
// events, but no routes for requests. A prompt sends its events to the client whose
// [Client.ID] is its ClientID; Submit sets it. [Client.Events] has the events of all prompts
// of the client.
//
// Events come over one connection. [Client.Submit], [Client.Interrupt], [Client.Outcome] and
// the other requests are HTTP requests, each with its answer: a request that the server
// refuses is a [*RefusedError] with the server's text. A request has one minute, unless its
// context ends earlier. All methods may be called by several goroutines.
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
