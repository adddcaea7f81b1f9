package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// watcher is a node whose methods before a run look at their context.
type watcher struct {
	In    any           `in:"in,optional"`
	ID    string        `hidden:"UNIQUE_ID"`
	Nodes nodebus.Nodes `hidden:"PROMPT"`
	check func(n watcher, ctx *nodebus.Context) error
	links func(ctx *nodebus.Context, types map[string]string) error
	print func(n watcher, ctx *nodebus.Context) (string, error)
}

func (n watcher) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text("ran"), nil }

func (n watcher) Validate(ctx *nodebus.Context) error { return n.check(n, ctx) }

func (n watcher) ValidateLinks(ctx *nodebus.Context, types map[string]string) error {
	return n.links(ctx, types)
}

func (n watcher) Fingerprint(ctx *nodebus.Context) (string, error) { return n.print(n, ctx) }

func watching() watcher {
	return watcher{
		check: func(watcher, *nodebus.Context) error { return nil },
		links: func(*nodebus.Context, map[string]string) error { return nil },
		print: func(watcher, *nodebus.Context) (string, error) { return "", nil },
	}
}

func watched() *nodebus.Prompt {
	g := nodebus.NewGraph()
	g.AddAs("7", "Watcher", in{"in": "3"})
	return &nodebus.Prompt{ClientID: "c", Nodes: g.Nodes(), Extra: map[string]any{"extra_pnginfo": "png"}}
}

// TestContextBeforeARun checks what the context of Validate, ValidateLinks and Fingerprint
// knows, and what it refuses.
func TestContextBeforeARun(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		n := watching()
		var seen []string
		var kept []*nodebus.Context
		look := func(method string, ctx *nodebus.Context) {
			seen, kept = append(seen, method), append(kept, ctx)
			require.Equal(t, nodebus.Place{UniqueID: "7", DisplayID: "7", RealID: "7"}, ctx.Place())
			require.NotEmpty(t, ctx.PromptID())
			require.Equal(t, "c", ctx.ClientID())
			require.Equal(t, "png", ctx.Hidden("EXTRA_PNGINFO"))
			require.Len(t, ctx.Hidden("PROMPT"), 1)
			require.NotNil(t, ctx.Logger())
			require.Error(t, ctx.SendSync(nodebus.ProgressText{}))
			ctx.Progress(1, 2) // nobody hears it
			_, err := nodebus.Eval[int](ctx, ctx.NewGraph(), nodebus.Link{Node: "7"})
			require.Error(t, err)
		}
		n.links = func(ctx *nodebus.Context, types map[string]string) error {
			look("links", ctx)
			require.Empty(t, types)
			return nil
		}
		n.check = func(n watcher, ctx *nodebus.Context) error {
			look("check", ctx)
			require.Equal(t, "7", n.ID)
			require.Equal(t, "3", n.Nodes[0].Inputs["in"])
			return nil
		}
		n.print = func(n watcher, ctx *nodebus.Context) (string, error) {
			look("print", ctx)
			require.Equal(t, "7", n.ID)
			require.Equal(t, "s", ctx.Hidden("MINE"))
			return "x", nil
		}
		flow.Register(r.reg, n, nodebus.Info{Name: "Watcher"})
		p := watched()
		s, err := r.engine.Submit(r.ctx, p, &flow.SubmitOptions{Secrets: map[string]string{"MINE": "s"}})
		require.NoError(t, err)
		_, err = s.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"links", "check", "print"}, seen)
		for _, ctx := range kept {
			require.True(t, ctx.Ended(), "a context is of use only during the call")
			require.ErrorIs(t, ctx.SendSync(nodebus.ProgressText{}), nodebus.ErrClosed)
		}
	})
}

// TestSlowValidateCanBeCancelled checks that the context of Submit reaches Validate, and that
// Submit then returns the cause instead of a verdict on the prompt.
func TestSlowValidateCanBeCancelled(t *testing.T) {
	stop := errors.New("the client is gone")
	inBubble(t, nil, nil, func(r *rig) {
		n := watching()
		n.check = func(_ watcher, ctx *nodebus.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		flow.Register(r.reg, n, nodebus.Info{Name: "Watcher"})
		ctx, cancel := context.WithCancelCause(r.ctx)
		p, got := watched(), make(chan error)
		go func() {
			_, err := r.engine.Submit(ctx, p, nil)
			got <- err
		}()
		synctest.Wait()
		cancel(stop)
		err := <-got
		require.ErrorIs(t, err, stop)
		var invalid *nodebus.ValidationError
		require.NotErrorAs(t, err, &invalid)
		require.Empty(t, p.Created, "the prompt has not entered the queue")
	})
}

// TestInterruptReachesFingerprint checks that an interrupt ends a Fingerprint that heeds its
// context, without waiting for Grace.
func TestInterruptReachesFingerprint(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Grace: time.Hour}, nil, func(r *rig) {
		n := watching()
		n.print = func(_ watcher, ctx *nodebus.Context) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
		flow.Register(r.reg, n, nodebus.Info{Name: "Watcher"})
		p := watched()
		p.ID = "p"
		wait := r.start(p)
		synctest.Wait()
		began := time.Now()
		require.True(t, interrupt(r.engine, "p"))
		require.Equal(t, nodebus.Interrupted, wait().record.State)
		require.Zero(t, time.Since(began))
	})
}

type (
	oldCheck  struct{ In any }
	oldPrint  struct{ In any }
	oldLinks  struct{ In any }
	restCheck struct{ In any }
)

func (oldCheck) Run(*nodebus.Context) (int, error)             { return 0, nil }
func (oldCheck) Validate() error                               { return nil }
func (oldPrint) Run(*nodebus.Context) (int, error)             { return 0, nil }
func (*oldPrint) Fingerprint() (string, error)                 { return "", nil }
func (oldLinks) Run(*nodebus.Context) (int, error)             { return 0, nil }
func (oldLinks) ValidateLinks(map[string]string) error         { return nil }
func (restCheck) Run(*nodebus.Context) (int, error)            { return 0, nil }
func (restCheck) Validate(_ context.Context, _ ...string) bool { return true }

// TestRegisterRefusesMethodsThatNobodyCalls checks that a method with the name of ours and
// another form is not ignored.
func TestRegisterRefusesMethodsThatNobodyCalls(t *testing.T) {
	r := flow.NewRegistry()
	for want, register := range map[string]func(){
		"nodebus: node flow_test.oldCheck: the method Validate has the form func() error, so that nobody calls it; write Validate(*nodebus.Context) error, or give it another name":                                               func() { flow.Register(r, oldCheck{}, nodebus.Info{}) },
		"nodebus: node flow_test.oldPrint: the method Fingerprint has the form func() (string, error), so that nobody calls it; write Fingerprint(*nodebus.Context) (string, error), or give it another name":                     func() { flow.Register(r, oldPrint{}, nodebus.Info{}) },
		"nodebus: node flow_test.oldLinks: the method ValidateLinks has the form func(map[string]string) error, so that nobody calls it; write ValidateLinks(*nodebus.Context, map[string]string) error, or give it another name": func() { flow.Register(r, oldLinks{}, nodebus.Info{}) },
		"nodebus: node flow_test.restCheck: the method Validate has the form func(context.Context, ...string) bool, so that nobody calls it; write Validate(*nodebus.Context) error, or give it another name":                     func() { flow.Register(r, restCheck{}, nodebus.Info{}) },
	} {
		require.PanicsWithValue(t, want, register)
	}
}
