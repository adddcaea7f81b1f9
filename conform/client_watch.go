package conform

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// watching returns the answer of the server to a request.
func watching(promptID string, refused string) scripted {
	e := scripted{typ: "nodebus.watching", data: `{"prompt_id":` + quoted(promptID) + `,"watching":true}`}
	if refused != "" {
		e.data = `{"prompt_id":` + quoted(promptID) + `,"watching":false,"error":` + quoted(refused) + `}`
	}
	return e
}

// watch calls Watch of the client in a goroutine.
func (s *stage) watch(t *testing.T, promptID string) <-chan error {
	answer := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s.busy.Go(func() { answer <- s.client.Watch(ctx, promptID) })
	return answer
}

// asked waits until the client asks for prompts: by messages, or in the query.
func (p *peer) asked(t *testing.T, promptIDs ...string) {
	t.Helper()
	p.askedByMessage(t, slices.DeleteFunc(promptIDs, func(id string) bool { return slices.Contains(p.query["watch"], id) })...)
}

// askedByMessage waits until the client asks for prompts, in any order.
func (p *peer) askedByMessage(t *testing.T, promptIDs ...string) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for len(promptIDs) > 0 {
		select {
		case m := <-p.messages:
			var asked struct {
				Type string
				Data struct {
					PromptID string `json:"prompt_id"`
				}
			}
			if json.Unmarshal(m, &asked) == nil && asked.Type == "nodebus.watch" {
				promptIDs = slices.DeleteFunc(promptIDs, func(id string) bool { return id == asked.Data.PromptID })
			}
		case <-p.ended:
			t.Fatalf("the client has left instead of asking for the prompt %q", promptIDs[0])
		case <-late.C:
			t.Fatalf("the client does not ask for the prompt %q", promptIDs[0])
		}
	}
}

// told waits for the result of Watch.
func told(t *testing.T, what string, answer <-chan error) (err error) {
	t.Helper()
	within(t, what, func() { err = <-answer })
	return err
}

// inPrompt gives events to a prompt.
func inPrompt(promptID string, events ...scripted) []scripted {
	for i := range events {
		events[i].prompt = promptID
	}
	return events
}

// watches: "After nodebus.watch the client receives the kept events of the prompt,
// without cursors, then the answer, then the later events. … After a break, watch the
// prompts again". The past has no cursors, so that the client comes back with the cursor
// before it. The client watches two prompts, and both again after each break.
func watches(t *testing.T, s *stage) {
	p := s.begin(t)
	s.expect(t, "before Watch", s.publish(mixed(0)...)...)
	answer := s.watch(t, "other")
	p.askedByMessage(t, "other")
	past := inPrompt("other", mixed(10)...)
	s.send(p, past...)
	s.expect(t, "the past", past...)
	select {
	case err := <-answer:
		t.Fatalf("Watch has returned %v before the answer of the server", err)
	default:
	}
	s.send(p, watching("other", ""))
	if err := told(t, "Watch", answer); err != nil {
		t.Fatalf("Watch of a prompt that the server allows: %v", err)
	}
	answer = s.watch(t, "another")
	p.askedByMessage(t, "another")
	s.send(p, watching("another", ""))
	if err := told(t, "Watch", answer); err != nil {
		t.Fatalf("Watch of a second prompt: %v", err)
	}
	for round := range 3 {
		later := s.publish(append(inPrompt("other", mixed(20)...), inPrompt("another", mixed(30)...)...)...)
		s.expect(t, "later events", later...)
		p.cut(cuts[round])
		p = s.accept(t)
		s.serve(p)
		p.asked(t, "other", "another")
	}
}

// watchesAgain: "If the connection breaks before the answer, the client must ask again."
// The server repeats the past then, so that an event comes twice.
func watchesAgain(t *testing.T, s *stage) {
	p := s.begin(t)
	answer := s.watch(t, "other")
	past := inPrompt("other", mixed(0)...)
	for range 3 {
		p.askedByMessage(t, "other")
		s.send(p, past[:2]...)
		s.expect(t, "the past, before the break", past[:2]...)
		p.cut("FIN")
		p = s.serve(s.accept(t))
	}
	p.askedByMessage(t, "other")
	s.send(p, append(past, watching("other", ""))...)
	s.expect(t, "the past", past...)
	if err := told(t, "Watch", answer); err != nil {
		t.Fatalf("Watch after breaks: %v", err)
	}
}

// watchIsRefused: the answer has "error: why" if the request was refused. Watch returns an
// error then, and the connection stays.
func watchIsRefused(t *testing.T, s *stage) {
	p := s.begin(t)
	for _, id := range []string{"first", "second"} {
		answer := s.watch(t, id)
		p.askedByMessage(t, id)
		s.send(p, watching(id, `nodebus: the client may not watch this prompt: "`+id+`"`))
		if told(t, "Watch", answer) == nil {
			t.Fatal("Watch has returned no error, although the server has refused")
		}
		s.expect(t, "after the refusal", s.publish(mixed(0)...)...)
	}
	p.control(opPing, "still there?")
	p.pong(t, "still there?")
}

// streamWatches: "a stream cannot ask for it": the client makes a new connection that
// names the prompt, and continues after its cursor.
func streamWatches(t *testing.T, s *stage) {
	s.begin(t)
	s.expect(t, "before Watch", s.publish(mixed(0)...)...)
	for _, id := range []string{"first", "second"} {
		answer := s.watch(t, id)
		p := s.accept(t)
		p.asked(t, id)
		s.serve(p)
		if err := told(t, "Watch", answer); err != nil {
			t.Fatalf("Watch: %v", err)
		}
		s.expect(t, "later events", s.publish(inPrompt(id, mixed(10)...)...)...)
		p.cut("RST")
		all := s.say(inPrompt(id, mixed(20)...)...)
		p = s.accept(t)
		p.asked(t, slices.Compact([]string{"first", id})...)
		s.serve(p)
		s.expect(t, "after the break", all...)
	}
}
