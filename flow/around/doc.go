// Package around has functions around the calls of nodes: they try again, limit the time, and
// log. Give them to [flow.LocalOptions]; the first is the outermost:
//
//	flow.NewLocal(registry, &flow.LocalOptions{Around: []flow.Around{
//		around.Log(logger),                                             // a line for each node
//		around.Retry(&around.RetryOptions{Attempts: 5}),                // of at most five tries
//		around.Timeout(&around.TimeoutOptions{Default: 30 * time.Second}), // of 30 seconds each
//	}})
//
// In the other order, Timeout limits all tries together, and Log writes a line for each
// try. [flow.Around] explains how to write such functions.
package around
