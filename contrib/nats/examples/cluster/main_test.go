package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// begin starts the cluster, and waits until it is whole. It returns the address of the page,
// and a function that ends the cluster.
func begin(t *testing.T, c *cluster) (address string, end func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, c.choosePorts())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.keep(ctx, listener, 0) }()
	end = sync.OnceFunc(func() {
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	t.Cleanup(end)
	require.True(t, c.whole(t.Context()))
	return listener.Addr().String(), end
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
	t.Parallel()
	c := &cluster{dir: t.TempDir(), submit: "123", run: "123", serve: "123"}
	begin(t, c)
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
// them. An interrupt reaches the process that runs the prompt, too. A prompt that runs when
// the cluster ends runs again when the cluster starts again.
func TestRoles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address, end := begin(t, &cluster{dir: dir, serve: "1", submit: "2", run: "3"})
	c := dial(t, address, nil)
	begun := func(words int) string {
		id, err := c.Submit(t.Context(), verse(strings.Repeat("word ", words)))
		require.NoError(t, err)
		for ev, err := range c.Follow(t.Context(), id) {
			require.NoError(t, err)
			if p, is := ev.Payload.(nodebus.Progress); is && p.Value == 3 {
				break
			}
		}
		return id
	}
	id := begun(1000)
	require.NoError(t, c.Interrupt(t.Context(), id))
	o, err := c.Wait(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Interrupted, o.State)

	id = begun(60)
	end()
	address, _ = begin(t, &cluster{dir: dir, serve: "1", submit: "2", run: "3"})
	o, err = dial(t, address, nil).Wait(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []any{"Process 3, attempt 2: " + strings.Repeat("word ", 60)}, o.Output("verse")["text"])
}

// TestMistakes: the first process says what is wrong, and ends.
func TestMistakes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct {
		args string
		want string
	}{
		"a role of nobody": {"-run 4", `-run "4": give the numbers of processes`},
		"no flag":          {"kill", `"kill" is not a flag`},
		"a port in use":    {"-listen " + taken.Addr().String(), "choose another one with -listen"},
		"a file as folder": {"-listen 127.0.0.1:0 -dir " + file, "could not start"},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := exec.Command(os.Args[0], strings.Fields(c.args)...).CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(said), c.want)
		})
	}
}
