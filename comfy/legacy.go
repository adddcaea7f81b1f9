package comfy

import "github.com/nodebus/nodebus"

// isBroadcast reports whether ComfyUI sends an event of a prompt to all clients.
// These events are the progress text of all prompts, and some events of prompts
// without a client. See Options.LegacyBroadcasts.
func isBroadcast(ev nodebus.Event) bool {
	switch p := ev.Payload.(type) {
	case nodebus.ProgressText, nodebus.TextSoFar:
		return true
	case nodebus.Progress, nodebus.ProgressState, nodebus.Preview, nodebus.ExecutionInterrupted:
		return ev.To == ""
	case nodebus.ExecutionError:
		return ev.To == "" && p.ExceptionType == nodebus.ExecutionBlocked
	}
	return false
}
