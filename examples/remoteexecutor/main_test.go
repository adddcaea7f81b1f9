package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

// TestMain is a worker if the host has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("NODEBUS_WORKER") != "" {
		work(func(r *flow.Registry) {
			register(r)
			conform.Register(r)
		})
		return
	}
	os.Exit(leak.Main(m))
}

// testBinary returns the command that starts the test binary as a worker.
func testBinary() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NODEBUS_WORKER=1")
	cmd.Stderr = os.Stderr
	return cmd
}

func TestRun(t *testing.T) {
	var out strings.Builder
	run(&out, testBinary)
	require.Equal(t, `Where success [in another process] <nil>
Crash error [] nodebus: node 1 (Crash): the worker process has ended: exit status 3
Where success [in another process] <nil>
`, out.String())
}

// TestConform checks the executor against the contract of all executors.
func TestConform(t *testing.T) {
	conform.Executor(t, func(t *testing.T, r *flow.Registry) nodebus.Executor {
		x := &remote{registry: r, command: testBinary}
		t.Cleanup(x.Close)
		return x
	}, &conform.Claims{Lazy: true, Expansion: true, Hidden: true, Values: true})
}
