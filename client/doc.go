// Package client receives a server's events in another Go program.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8188/ws", nil)
//	client.On(c, func(ev nodebus.Event, p nodebus.Progress) { fmt.Println(p.Node, p.Value, p.Max) })
//	for ev, err := range c.Events(ctx) { … }
//
// Only Events, Follow and Run read the connection; without them nothing happens. The
// client reconnects after a broken connection, and then receives the missed events.
package client
