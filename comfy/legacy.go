package comfy

import "github.com/nodebus/nodebus"

// isBroadcast reports whether ComfyUI sends an event of a prompt to everyone: the
// progress text of all, and part of what it says of prompts that no client has
// submitted. See Options.LegacyBroadcasts.
func isBroadcast(ev nodebus.Event) bool {
	switch p := ev.Payload.(type) {
	case nodebus.ProgressText:
		return true
	case nodebus.Progress, nodebus.ProgressState, nodebus.Preview, nodebus.ExecutionInterrupted:
		return ev.To == ""
	case nodebus.ExecutionError:
		return ev.To == "" && p.ExceptionType == "ExecutionBlocked"
	}
	return false
}
