package conform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
)

func executesGraph(t *testing.T, h *host) {
	o := h.run(t, sums(1, 2, 4))
	o.shows(t, "show", 7)
	o.before(t, "executing first", "executing second", "executing show", "executed show", "execution_success", "executing ")
}

// executesOutputs has a node that no output needs, and an output that was not asked for.
func executesOutputs(t *testing.T, h *host) {
	g := sums(1, 2, 4)
	g.AddAs("unused", "conform.Sum", nodebus.Inputs{"a": 1, "b": 1})
	g.AddAs("other", "conform.Show", nodebus.Inputs{"value": g.Link("first")})
	o := h.submit(t, &nodebus.Prompt{Nodes: g.Nodes(), Outputs: []string{"show"}}, nil, nil)
	o.shows(t, "show", 7)
	if o.ran("unused") || o.ran("other") {
		t.Errorf("a node ran that the output \"show\" does not need: %q", o.order())
	}
}

func executesContext(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	g.AddAs("who", "conform.Who", nil)
	o := h.submit(t, &nodebus.Prompt{ID: "context", Nodes: g.Nodes()}, nil, nil)
	o.shows(t, "who", "who", "who", "", "who", "context", "client", 1)
}

func executesMessages(t *testing.T, h *host) {
	g := shown("speak", "conform.Speak", nodebus.Inputs{"text": "hello", "broadcast": false})
	o := h.submit(t, &nodebus.Prompt{ID: "messages", Nodes: g.Nodes()}, nil, nil)
	o.shows(t, "show", "hello")
	o.before(t, "executing speak", "progress speak", "conform.said", "77", "b_preview_with_metadata", "executing show", "executing ")
	for _, ev := range o.events {
		switch p := ev.Payload.(type) {
		case nodebus.Progress:
			if p.UniqueID != "speak" || p.PromptID != "messages" || p.Value != 1 || p.Max != 2 {
				t.Errorf("the progress event is %+v", p)
			}
		case nodebus.Preview:
			if p.Place.WithDefaults() != (nodebus.Place{UniqueID: "speak"}).WithDefaults() || p.PromptID != "messages" || string(p.Image) != string(pixel) {
				t.Errorf("the preview is %+v", p)
			}
		default:
			want := map[string]string{
				"conform.said": `{"type":"conform.said","data":{"node":"speak","text":"hello"}}`,
				"77":           "\x00\x00\x00M\x00\x01\n\xff",
			}[p.EventType()]
			if got := encoded(t, ev); want != "" && got != want {
				t.Errorf("the client receives %q, want %q", got, want)
			}
		}
	}
}

// executesText runs a node that writes a text. All of it must come before the node ends.
func executesText(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	g.AddAs("write", "conform.Write", nodebus.Inputs{"text": "€ 42"})
	o := h.run(t, g)
	o.shows(t, "write", "€ 42")
	text, soFar := "", ""
	for _, ev := range o.events {
		switch p := ev.Payload.(type) {
		case nodebus.TextPiece:
			if p.UniqueID != "write" || p.Name != "text" || p.Offset != len(text) {
				t.Errorf("after %q came the piece %+v", text, p)
			}
			text += p.Piece
		case nodebus.TextSoFar:
			soFar = p.Text
		case nodebus.ProgressText: // a TextSoFar that came as a frame
			soFar = p.Text
		case nodebus.Executed:
			if want := "€ 42\ufffd"; text != want || soFar != want {
				t.Errorf("when the node ended, its text was %q, and stock clients had %q; want %q: call End of the Context when Run has returned", text, soFar, want)
			}
		}
	}
}

// executesPrivately runs prompts while another client is connected. This client must
// receive nothing but a broadcast.
func executesPrivately(t *testing.T, h *host) {
	bob := &inbox{last: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	session := h.hub.Join("bob", nil)
	ended := make(chan error, 1)
	go func() { ended <- session.Serve(ctx, bob) }()

	h.run(t, sums(1, 2, 4)).shows(t, "show", 7)
	h.run(t, shown("speak", "conform.Speak", nodebus.Inputs{"text": "secret", "broadcast": false})).shows(t, "show", "secret")
	h.run(t, failing("error")).blames(t, errFail.Error())
	h.run(t, shown("speak", "conform.Speak", nodebus.Inputs{"text": "all", "broadcast": true})).shows(t, "show", "all")

	if err := h.hub.SendSync(said{"", "last"}, "bob"); err != nil {
		t.Errorf("send: %v", err)
	}
	within(t, "sending to another client", func() { <-bob.last })
	cancel()
	within(t, "ending a session", func() {
		if err := <-ended; err == nil {
			t.Error("it ended without a reason")
		}
	})
	same(t, "another client receives", bob.frames, []string{
		`{"type":"conform.said","data":{"node":"speak","text":"all"}}`,
		`{"type":"conform.said","data":{"node":"","text":"last"}}`,
	})
}

// inbox is the transport of a client. It keeps the frames it receives, except for the
// number of prompts.
type inbox struct {
	frames []string
	last   chan struct{} // closed when the last message is there
}

func (b *inbox) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		if f.Type == "status" {
			continue
		}
		b.frames = append(b.frames, string(f.Data))
		if strings.Contains(string(f.Data), `"text":"last"`) {
			close(b.last)
		}
	}
	return nil
}

func (b *inbox) Close(error) error { return nil }

// failing returns a graph in which one node fails and another node waits for it.
func failing(how string) *nodebus.Graph {
	return shown("fail", "conform.Fail", nodebus.Inputs{"how": how})
}

func executesFailure(t *testing.T, h *host) {
	h.run(t, failing("error")).blames(t, errFail.Error())
	h.run(t, sums(1, 2, 3)).shows(t, "show", 6)
}

func executesPanic(t *testing.T, h *host) {
	h.run(t, failing("panic")).blames(t, errFail.Error())
	h.run(t, sums(1, 2, 3)).shows(t, "show", 6)
}

func executesOwnInterrupt(t *testing.T, h *host) {
	o := h.run(t, failing("interrupt"))
	if o.record.State != nodebus.Interrupted || o.ran("show") {
		t.Errorf("the prompt ended as %q, want interrupted: %q", o.record.State, o.order())
	}
	h.run(t, sums(1, 2, 3)).shows(t, "show", 6)
}

func executesInterrupt(t *testing.T, h *host) {
	g := shown("wait", "conform.Wait", nil)
	o := h.submit(t, &nodebus.Prompt{Nodes: g.Nodes()}, nil, func(ev nodebus.Event) {
		if ev.Payload.EventType() != "conform.said" {
			return
		}
		if found, err := h.engine.Interrupt(context.Background(), ev.PromptID); !found || err != nil {
			t.Errorf("Interrupt of the running prompt: %t, %v", found, err)
		}
	})
	o.before(t, "executing wait", "conform.said", "execution_interrupted", "executing ")
	if o.record.State != nodebus.Interrupted || o.ran("show") {
		t.Errorf("the prompt ended as %q, want interrupted: %q", o.record.State, o.order())
	}
	h.run(t, sums(1, 2, 3)).shows(t, "show", 6)
}

// executesMany runs prompts side by side. Some of them fail, and one is interrupted
// when all the others have ended.
func executesMany(t *testing.T, h *host) {
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			if i%6 == 5 {
				h.run(t, failing([]string{"error", "panic"}[i/6%2])).blames(t, errFail.Error())
				return
			}
			h.run(t, sums(i, i, 1)).shows(t, "show", fmt.Sprint(2*i+1))
		})
	}
	g := shown("wait", "conform.Wait", nil)
	var once sync.Once
	o := h.submit(t, &nodebus.Prompt{ID: "wait", Nodes: g.Nodes()}, nil, func(nodebus.Event) {
		once.Do(func() {
			all.Wait()
			_, _ = h.engine.Interrupt(context.Background(), "wait")
		})
	})
	if o.record.State != nodebus.Interrupted || slices.Contains(o.order(), "executed show") {
		t.Errorf("the interrupted prompt ended as %q", o.record.State)
	}
}

// executesOn runs two branches that fail and one that does not.
func executesOn(t *testing.T, h *host) {
	g := failing("error")
	g.AddAs("other", "conform.Fail", nodebus.Inputs{"how": "panic"})
	g.AddAs("last", "conform.Show", nodebus.Inputs{"value": g.Link("other")})
	g.AddAs("free", "conform.Show", nodebus.Inputs{"value": g.AddAs("sum", "conform.Sum", nodebus.Inputs{"a": 3, "b": 4})})
	o := h.submit(t, &nodebus.Prompt{Nodes: g.Nodes(), Policy: nodebus.Policy{Continue: true}}, nil, nil)
	if out := o.record.Outcome(); out.State != nodebus.Failed || fmt.Sprint(out.Output("free")["text"]) != "[7]" {
		t.Errorf("the prompt ended as %q, and the branch that does not fail has shown %v, want [7]", out.State, out.Output("free"))
	}
	if o.ran("show") || o.ran("last") {
		t.Errorf("a node ran that needs a failed node: %q", o.order())
	}
	var told, listed []string
	for _, ev := range o.events {
		if f, ok := ev.Payload.(nodebus.NodeFailed); ok {
			told = append(told, f.UniqueID)
		}
	}
	for _, f := range o.record.Errors {
		listed = append(listed, f.UniqueID)
	}
	if len(listed) != 2 || o.record.Error == nil || o.record.Error.NodeID != listed[0] {
		t.Errorf("the report lists the errors of %q, want those of fail and other, first the one that ends the prompt", listed)
		return
	}
	same(t, "the nodes with a nodebus.node_error event", told, listed[1:])
}

// executesReports checks what the report says about nodes that ran, failed and were skipped.
func executesReports(t *testing.T, h *host) {
	ends := func(o outcome) (ends []string) {
		for _, n := range o.record.Nodes {
			ends = append(ends, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", n.UniqueID, n.Class, n.Result, n.By)))
			if n.Result == "done" && !n.Cached && (n.Started.IsZero() || n.Ended.Before(n.Started)) {
				t.Errorf("node %s ran from %s to %s", n.UniqueID, n.Started, n.Ended)
			}
		}
		slices.Sort(ends)
		return ends
	}
	same(t, "the report about the nodes", ends(h.run(t, sums(1, 2, 4))), []string{
		"first conform.Sum done", "second conform.Sum done", "show conform.Show done",
	})
	same(t, "the report about the nodes of a failed prompt", ends(h.run(t, failing("error"))), []string{"fail conform.Fail error"})
}
