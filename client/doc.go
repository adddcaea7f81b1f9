// Package client follows a server's events from another Go program.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8188/ws", nil)
//	client.On(c, func(ev nodebus.Event, p nodebus.Progress) { fmt.Println(p.Node, p.Value, p.Max) })
//	for ev, err := range c.Events(ctx) { … }
//
// Events, or Run, reads the connection; without one of them nothing happens. A
// connection that breaks is made again, and what was missed meanwhile follows.
package client
