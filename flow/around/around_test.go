package around_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/around"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// work is a node that calls a function.
type work struct {
	N   int
	run func(ctx *nodebus.Context, n int) error
}

func (w work) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text("done"), w.run(ctx, w.N)
}

// run runs one node with functions around it. It returns how the prompt ended, and how long
// that took.
func run(t *testing.T, all []flow.Around, node func(ctx *nodebus.Context, n int) error) (o nodebus.Outcome, took time.Duration) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		o, took = runHere(t, t.Context(), all, node)
	})
	return o, took
}

func runHere(t *testing.T, ctx context.Context, all []flow.Around, node func(ctx *nodebus.Context, n int) error) (nodebus.Outcome, time.Duration) {
	t.Helper()
	reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(reg, work{run: node}, nodebus.Info{Name: "Work"})
	engine := flow.NewEngine(reg, hub, &flow.EngineOptions{Executor: flow.NewLocal(reg, &flow.LocalOptions{Around: all})})
	g := nodebus.NewGraph()
	g.AddAs("w", "Work", nodebus.Inputs{"n": 1})
	began := time.Now()
	o, _ := flow.Do(ctx, engine, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	took := time.Since(began)
	require.NoError(t, hub.Close())
	return o, took
}

var errNet = errors.New("connection reset")

func TestRetry(t *testing.T) {
	hour := time.Hour
	for _, c := range []struct {
		name     string
		opts     *around.RetryOptions
		err      error // of every try but the last
		good     int   // the try that succeeds; 0: none
		tries    int
		min, max time.Duration
	}{
		{"default", nil, errNet, 3, 3, 150 * time.Millisecond, 300 * time.Millisecond},
		{"first", nil, errNet, 1, 1, 0, 0},
		{"gives up", nil, errNet, 0, 3, 150 * time.Millisecond, 300 * time.Millisecond},
		{"grows", &around.RetryOptions{Attempts: 6, Pause: time.Second}, errNet, 0, 6, 12500 * time.Millisecond, 25 * time.Second},
		{"limited", &around.RetryOptions{Attempts: 6, Pause: time.Second, MaxPause: 2 * time.Second}, errNet, 0, 6, 4500 * time.Millisecond, 9 * time.Second},
		{"limit below the pause", &around.RetryOptions{Attempts: 2, Pause: hour, MaxPause: time.Second}, errNet, 0, 2, 500 * time.Millisecond, time.Second},
		{"interrupted", nil, fmt.Errorf("stop: %w", nodebus.ErrInterrupted), 0, 1, 0, 0},
		{"refused", nil, &nodebus.RefusedError{Reason: "no"}, 0, 1, 0, 0},
		{"expired", nil, nodebus.ErrExpired, 0, 1, 0, 0},
		{"blocked", nil, nodebus.Block("no"), 0, 1, 0, 0},
		{"input", nil, &nodebus.InputError{Input: "n", Err: errNet}, 0, 1, 0, 0},
		{"if not", &around.RetryOptions{If: func(*flow.Call, error) bool { return false }}, errNet, 0, 1, 0, 0},
		{"if", &around.RetryOptions{Attempts: 2, If: func(c *flow.Call, err error) bool {
			return c.Class.Name() == "Work" && errors.Is(err, errNet)
		}}, &nodebus.InputError{Input: "n", Err: errNet}, 0, 2, 50 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			tries := 0
			o, took := run(t, []flow.Around{around.Retry(c.opts)}, func(*nodebus.Context, int) error {
				if tries++; tries == c.good {
					return nil
				}
				return c.err
			})
			require.Equal(t, c.tries, tries)
			require.GreaterOrEqual(t, took, c.min)
			require.LessOrEqual(t, took, c.max)
			if c.good > 0 {
				require.Equal(t, nodebus.Succeeded, o.State)
				require.Equal(t, nodebus.Text("done"), o.Output("w"))
			}
		})
	}
}

// TestRetryPassesCachedResultsThrough: a cached result that a function inside does not want
// is asked for once; the node is called instead.
func TestRetryPassesCachedResultsThrough(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var cached, calls int
		unwanted := func(next flow.CallFunc) flow.CallFunc {
			return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
				if call.Cached {
					cached++
					return flow.Result{}, errNet
				}
				calls++
				return next(ctx, call)
			}
		}
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, work{run: func(*nodebus.Context, int) error { return nil }}, nodebus.Info{Name: "Work"})
		engine := flow.NewEngine(reg, hub, &flow.EngineOptions{
			Executor: flow.NewLocal(reg, &flow.LocalOptions{Around: []flow.Around{around.Retry(nil), unwanted}}),
		})
		g, began := nodebus.NewGraph(), time.Now()
		g.AddAs("w", "Work", nodebus.Inputs{"n": 1})
		for k := range 2 {
			o, err := flow.Do(t.Context(), engine, &nodebus.Prompt{ID: fmt.Sprint(k), Nodes: g.Nodes()})
			require.NoError(t, err)
			require.Equal(t, nodebus.Succeeded, o.State)
		}
		require.NoError(t, hub.Close())
		require.Equal(t, []int{1, 2}, []int{cached, calls})
		require.Zero(t, time.Since(began))
	})
}

func TestRetryDoesNotRepeatPanics(t *testing.T) {
	tries := 0
	o, _ := run(t, []flow.Around{around.Retry(nil)}, func(*nodebus.Context, int) error {
		tries++
		panic("oh")
	})
	require.Equal(t, 1, tries)
	require.Contains(t, o.Error.ExceptionMessage, "oh")
}

// TestRetryEndsWithItsPrompt: neither a pause nor a try begins or goes on.
func TestRetryEndsWithItsPrompt(t *testing.T) {
	for _, inPause := range []bool{true, false} {
		bubble.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			tries := 0
			go func() {
				synctest.Wait()
				cancel()
			}()
			_, took := runHere(t, ctx, []flow.Around{around.Retry(&around.RetryOptions{Pause: time.Hour, MaxPause: time.Hour})}, func(ctx *nodebus.Context, _ int) error {
				tries++
				if !inPause {
					<-ctx.Done()
				}
				return errNet
			})
			require.Equal(t, 1, tries)
			require.Zero(t, took)
		})
	}
}

func TestTimeout(t *testing.T) {
	second := &around.TimeoutOptions{Default: time.Second}
	stop := func(ctx *nodebus.Context, _ int) error {
		<-ctx.Done()
		return fmt.Errorf("stopped: %w", ctx.Err())
	}
	for _, c := range []struct {
		name string
		opts *around.TimeoutOptions
		node func(ctx *nodebus.Context, n int) error
		took time.Duration
		text string // in the error; "" if there is none
	}{
		{"in time", second, func(*nodebus.Context, int) error { return nil }, 0, ""},
		{"default", second, stop, time.Second, "the call took longer than the limit of 1s for class Work"},
		{"class", &around.TimeoutOptions{Default: time.Hour, Classes: map[string]time.Duration{"Work": time.Minute}}, stop, time.Minute, "limit of 1m0s"},
		{"class without a limit", &around.TimeoutOptions{Default: time.Second, Classes: map[string]time.Duration{"Work": 0}}, func(*nodebus.Context, int) error {
			time.Sleep(time.Minute)
			return nil
		}, time.Minute, ""},
		{"none", nil, func(*nodebus.Context, int) error { time.Sleep(time.Minute); return nil }, time.Minute, ""},
		{"late result", second, func(*nodebus.Context, int) error { time.Sleep(time.Minute); return nil }, time.Minute, ""},
		{"own error", second, func(*nodebus.Context, int) error { return errNet }, 0, "connection reset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cause error
			o, took := run(t, []flow.Around{around.Timeout(c.opts)}, func(ctx *nodebus.Context, n int) error {
				err := c.node(ctx, n)
				cause = context.Cause(ctx)
				return err
			})
			require.Equal(t, c.took, took)
			if c.text == "" {
				require.Equal(t, nodebus.Succeeded, o.State)
				return
			}
			require.Equal(t, nodebus.Failed, o.State)
			require.Contains(t, o.Error.ExceptionMessage, c.text)
			if strings.Contains(c.text, "limit") {
				var over *around.TimeoutError
				require.ErrorAs(t, cause, &over)
				require.Equal(t, []string{"w", "Work"}, []string{over.Node, over.Class})
				require.True(t, over.Timeout())
				require.Equal(t, "timeout", o.Error.ExceptionType)
			}
		})
	}
}

// TestTimeoutErrorWraps: the error of the call wraps what the node has returned.
func TestTimeoutErrorWraps(t *testing.T) {
	var got error
	seen := func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
			res, err := next(ctx, call)
			got = err
			return res, err
		}
	}
	run(t, []flow.Around{seen, around.Timeout(&around.TimeoutOptions{Default: time.Second})}, func(ctx *nodebus.Context, _ int) error {
		<-ctx.Done()
		return errNet
	})
	require.ErrorIs(t, got, errNet)
	require.ErrorAs(t, got, new(*around.TimeoutError))
}

// TestOrder: Retry around Timeout limits each try, Timeout around Retry limits them all.
func TestOrder(t *testing.T) {
	retry := around.Retry(&around.RetryOptions{Attempts: 3, Pause: time.Nanosecond, MaxPause: time.Nanosecond})
	limit := around.Timeout(&around.TimeoutOptions{Default: time.Second})
	for want, all := range map[int][]flow.Around{3: {retry, limit}, 1: {limit, retry}} {
		tries := 0
		o, took := run(t, all, func(ctx *nodebus.Context, _ int) error {
			tries++
			<-ctx.Done()
			return ctx.Err()
		})
		require.Equal(t, want, tries)
		require.Equal(t, time.Duration(want)*time.Second, took.Truncate(time.Millisecond))
		require.Contains(t, o.Error.ExceptionMessage, "took longer")
	}
}

// textLogger writes lines without the time, and durations in whole seconds.
func textLogger(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch {
		case a.Key == slog.TimeKey:
			return slog.Attr{}
		case a.Value.Kind() == slog.KindDuration:
			a.Value = slog.DurationValue(a.Value.Duration().Truncate(time.Second))
		}
		return a
	}}))
}

func TestLog(t *testing.T) {
	for _, c := range []struct {
		name string
		node func(ctx *nodebus.Context, n int) error
		want string
	}{
		{"good", func(*nodebus.Context, int) error { time.Sleep(time.Second); return nil }, `level=INFO msg=node prompt=p node=w class=Work cached=false duration=1s`},
		{"bad", func(*nodebus.Context, int) error { return errNet }, `level=ERROR msg=node prompt=p node=w class=Work cached=false attempts=2 duration=0s error="connection reset"`},
		{"blocked", func(*nodebus.Context, int) error { return nodebus.Block("no") }, `level=INFO msg=node prompt=p node=w class=Work cached=false duration=0s error="nodebus: blocked: no"`},
		{"interrupted", func(*nodebus.Context, int) error { return nodebus.ErrInterrupted }, `level=INFO msg=node prompt=p node=w class=Work cached=false duration=0s error="nodebus: interrupted"`},
		{"panic", func(*nodebus.Context, int) error { panic("oh") }, `level=ERROR msg=node prompt=p node=w class=Work cached=false duration=0s error="panic: oh"`},
		{"goexit", func(*nodebus.Context, int) error { runtime.Goexit(); return nil }, `level=ERROR msg=node prompt=p node=w class=Work cached=false duration=0s error="the call panicked or ended its goroutine"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			retry := around.Retry(&around.RetryOptions{Attempts: 2, Pause: time.Millisecond})
			run(t, []flow.Around{around.Log(textLogger(&out)), retry, around.Log(nil)}, c.node)
			require.Equal(t, c.want+"\n", out.String())
		})
	}
}

// TestLogOfListsAndCachedResults: a line for each element, and a line for each cached node.
func TestLogOfListsAndCachedResults(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, work{run: func(*nodebus.Context, int) error { return nil }}, nodebus.Info{Name: "Work"})
		flow.Register(reg, numbers{}, nodebus.Info{Name: "Numbers"})
		engine := flow.NewEngine(reg, hub, &flow.EngineOptions{
			Executor: flow.NewLocal(reg, &flow.LocalOptions{Around: []flow.Around{around.Log(textLogger(&out))}}),
		})
		g := nodebus.NewGraph()
		g.AddAs("w", "Work", nodebus.Inputs{"n": g.AddAs("n", "Numbers", nil)})
		for k := range 2 {
			_, err := flow.Do(t.Context(), engine, &nodebus.Prompt{ID: fmt.Sprint(k), Nodes: g.Nodes()})
			require.NoError(t, err)
		}
		require.NoError(t, hub.Close())
		require.Equal(t, `level=INFO msg=node prompt=0 node=n class=Numbers cached=false duration=0s
level=INFO msg=node prompt=0 node=w class=Work cached=false duration=0s
level=INFO msg=node prompt=0 node=w class=Work index=1 cached=false duration=0s
level=INFO msg=node prompt=1 node=n class=Numbers cached=true duration=0s
level=INFO msg=node prompt=1 node=w class=Work cached=true duration=0s
`, out.String())
	})
}

type numbers struct{}

func (numbers) Run(*nodebus.Context) (nodebus.List[int], error) { return nodebus.List[int]{1, 2}, nil }

// TestLogSurvivesItsHandler: a handler that panics does not fail the node.
func TestLogSurvivesItsHandler(t *testing.T) {
	o, _ := run(t, []flow.Around{around.Log(slog.New(badHandler{slog.DiscardHandler}))}, func(*nodebus.Context, int) error { return nil })
	require.Equal(t, nodebus.Succeeded, o.State)
}

type badHandler struct{ slog.Handler }

func (badHandler) Enabled(context.Context, slog.Level) bool { panic("oh") }
