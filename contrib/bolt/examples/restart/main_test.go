package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestMain runs the program instead of the tests if RUN_RESTART is set.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_RESTART") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start starts the program at a free address, or at the address of the program before. It
// returns when the program serves.
func start(t *testing.T, file, listen string) (cmd *exec.Cmd, address string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-listen", listen, "-file", file)
	cmd.Env, cmd.Stderr = append(os.Environ(), "RUN_RESTART=1"), os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, rest, found := strings.Cut(line, "http://")
	require.True(t, found, line)
	address, _, _ = strings.Cut(rest, " ")
	return cmd, address
}

// TestKill kills the program while a verse is written, and while its question is open. The
// client goes on by itself: nothing that was finished runs again, and it receives the end.
func TestKill(t *testing.T) {
	file, ctx := filepath.Join(t.TempDir(), "nodebus.db"), t.Context()
	program, address := start(t, file, "127.0.0.1:0")
	c, err := client.Dial(ctx, "ws://"+address+"/ws", nil)
	require.NoError(t, err)
	defer c.Close()
	nodes, err := nodebus.ParseNodes(graph(t))
	require.NoError(t, err)
	id, err := c.Submit(ctx, &nodebus.Prompt{Nodes: nodes})
	require.NoError(t, err)
	attempt, killed, cached := 0, 0, []string(nil)
	kill := func() {
		killed++
		require.NoError(t, program.Process.Kill())
		_ = program.Wait()
		program, _ = start(t, file, address)
	}
	for ev, err := range c.Follow(ctx, id) {
		require.NoError(t, err)
		switch p := ev.Payload.(type) {
		case nodebus.Gap:
			require.Fail(t, "a gap", "%+v", p)
		case nodebus.ExecutionStart:
			require.Equal(t, attempt+1, max(p.Attempt, 1))
			attempt = max(p.Attempt, 1)
		case nodebus.ExecutionCached:
			cached = p.Nodes
		case nodebus.Progress:
			if p.UniqueID == "second" && p.Value == 3 && attempt == 1 {
				kill()
			}
		case nodebus.Waiting:
			if attempt == 2 {
				require.Equal(t, []string{"first"}, cached)
				kill()
				continue
			}
			require.ElementsMatch(t, []string{"first", "second"}, cached)
			require.NoError(t, c.Answer(ctx, id, p.UniqueID, p.Name, "a test"))
		}
	}
	require.Equal(t, 2, killed)
	o, err := c.Wait(ctx, id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Succeeded, o.State)
	require.Equal(t, 3, o.Attempt)
	require.Equal(t, []any{"Once upon a time there was a program.", "a test"}, o.Output("sign")["text"])
	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.NoError(t, program.Wait())
}

// graph returns the workflow of the page with a short text and short pauses.
func graph(t *testing.T) []byte {
	text, err := files.ReadFile("verses.json")
	require.NoError(t, err)
	nodes, err := nodebus.ParseNodes(text)
	require.NoError(t, err)
	require.Len(t, nodes, 3)
	return []byte(`{
		"first": {"class_type": "Recite", "inputs": {"text": "Once upon a time ", "pause": 1}},
		"second": {"class_type": "Recite", "inputs": {"after": ["first", 0], "text": "there was a program.", "pause": 100}},
		"sign": {"class_type": "Sign", "inputs": {"text": ["second", 0]}}
	}`)
}

// TestInUse: a second program waits for the file, and then says that it is in use.
func TestInUse(t *testing.T) {
	lockTimeout = time.Second
	defer func() { lockTimeout = time.Minute }()
	file := filepath.Join(t.TempDir(), "nodebus.db")
	start(t, file, "127.0.0.1:0")
	require.ErrorContains(t, run(context.Background(), "127.0.0.1:0", file), file)
}
