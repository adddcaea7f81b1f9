package comfy

import (
	"errors"
	"iter"
	"slices"

	"github.com/nodebus/nodebus"
)

// broadcast sends everyone what ComfyUI does (see Options.LegacyBroadcasts). The
// prompt and the client are left out of what it publishes, so that it does not
// meet its own events again.
func (s *Server) broadcast(events iter.Seq2[nodebus.Event, error]) {
	for ev, err := range events {
		if err != nil {
			s.opts.Logger.Error("no more broadcasts", "error", err)
			return
		}
		if ev.PromptID == "" {
			continue
		}
		var to []string // everyone
		if _, text := ev.Payload.(nodebus.ProgressText); text && ev.To != "" {
			to = slices.DeleteFunc(s.clients.ids(), func(id string) bool { return id == ev.To })
			if len(to) == 0 {
				continue
			}
		} else if ev.To != "" || !isBroadcast(ev.Payload) {
			continue
		}
		if err := s.hub.SendSync(ev.Payload, to...); errors.Is(err, nodebus.ErrClosed) {
			return
		}
	}
}

func isBroadcast(p nodebus.Payload) bool {
	switch p := p.(type) {
	case nodebus.Progress, nodebus.ProgressState, nodebus.Preview, nodebus.ProgressText, nodebus.ExecutionInterrupted:
		return true
	case nodebus.ExecutionError:
		return p.ExceptionType == "ExecutionBlocked"
	}
	return false
}
