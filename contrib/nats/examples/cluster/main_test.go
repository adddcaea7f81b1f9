package main

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestMain runs the program instead of the tests if RUN_CLUSTER is set.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_CLUSTER") != "" {
		main()
		return
	}
	_ = os.Setenv("RUN_CLUSTER", "1") // for the processes
	os.Exit(m.Run())
}

// begin starts the cluster and waits until it is whole.
func begin(t *testing.T) *cluster {
	*dir = t.TempDir()
	c, err := newCluster()
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	*listen = listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.keep(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	require.True(t, c.whole(t.Context()))
	return c
}

func dial(t *testing.T, address string, opts *client.Options) *client.Client {
	c, err := client.Dial(t.Context(), "ws://"+address+"/ws", opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func verse(text string) *nodebus.Prompt {
	g := nodebus.NewGraph()
	g.AddAs("verse", "Recite", nodebus.Inputs{"text": text, "pause": 50})
	return &nodebus.Prompt{Nodes: g.Nodes()}
}

// runner returns the number of the process that runs a prompt.
func runner(t *testing.T, c *client.Client, id string) string {
	for ev, err := range c.Events(t.Context()) {
		require.NoError(t, err)
		if p, is := ev.Payload.(nodebus.TextPiece); is && p.Offset == 0 {
			require.Equal(t, id, p.PromptID)
			_, rest, found := strings.Cut(p.Piece, "Process ")
			require.True(t, found, p.Piece)
			number, _, _ := strings.Cut(rest, ",")
			return number
		}
	}
	return ""
}

// TestKill kills the process that runs a prompt. A client that was connected to it goes on
// with its cursor at another process, and receives each event once, up to the end.
func TestKill(t *testing.T) {
	c := begin(t)
	before := map[string]*client.Client{} // by the number of the process
	for _, p := range c.places {
		before[p.number] = dial(t, p.at(), &client.Options{ID: "ada", Retry: -1})
	}
	id, err := before["1"].Submit(t.Context(), verse(strings.Repeat("word ", 40)))
	require.NoError(t, err)
	runs := runner(t, before["1"], id)
	if runs != "1" {
		require.Equal(t, runs, runner(t, before[runs], id))
	}
	number := slices.IndexFunc(c.places, func(p *place) bool { return p.number == runs })
	c.places[number].kill()
	there := before[runs]
	after := dial(t, c.places[(number+1)%3].at(), &client.Options{ID: "ada", Since: there.Cursor()})
	last, told := "", map[string]int{} // what comes after the cursor
	for ev, err := range after.Events(t.Context()) {
		require.NoError(t, err)
		told[ev.Payload.EventType()]++
		if p, ends := ev.Payload.(nodebus.ExecutionSuccess); ends {
			if p.PromptID == last {
				break
			}
			require.Equal(t, id, p.PromptID)
			last, err = after.Submit(t.Context(), verse("a b c d")) // whatever comes twice comes before the end
			require.NoError(t, err)
		}
		if p, starts := ev.Payload.(nodebus.ExecutionStart); starts && p.PromptID == id {
			require.Equal(t, 2, p.Attempt)
		}
	}
	require.Equal(t, 2, told["execution_success"])
	require.Equal(t, 2, told["execution_start"])
	require.Zero(t, told["nodebus.gap"])
	o, err := after.Wait(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 2, o.Attempt)
	require.Equal(t, nodebus.Succeeded, o.State)
}

// TestRoles: one process serves the client, another accepts its prompts, and the third runs
// them. An interrupt reaches the process that runs the prompt, too.
func TestRoles(t *testing.T) {
	for role, number := range map[*string]string{serve: "1", submit: "2", run: "3"} {
		all := *role
		*role = number
		t.Cleanup(func() { *role = all })
	}
	begin(t)
	c := dial(t, *listen, nil)
	id, err := c.Submit(t.Context(), verse("a b c d"))
	require.NoError(t, err)
	o, err := c.Wait(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []any{"Process 3, attempt 1: a b c d"}, o.Output("verse")["text"])
	id, err = c.Submit(t.Context(), verse(strings.Repeat("word ", 1000)))
	require.NoError(t, err)
	for ev, err := range c.Follow(t.Context(), id) {
		require.NoError(t, err)
		if p, is := ev.Payload.(nodebus.Progress); is && p.Value == 3 {
			require.NoError(t, c.Interrupt(t.Context(), id))
		}
	}
	o, err = c.Wait(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Interrupted, o.State)
}
