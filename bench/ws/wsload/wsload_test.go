//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus/bench/ws/server"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

// serverEnv is the environment variable that makes this test binary run as the server.
const serverEnv = "NODEBUS_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) == "" {
		os.Exit(leak.Main(m))
	}
	if err := server.Main(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// command returns the command that starts this binary as a server.
func command(t *testing.T) []string {
	t.Setenv(serverEnv, "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each server of a race test waits for a second at its end
	self, err := os.Executable()
	require.NoError(t, err)
	return []string{self}
}

// TestMeasure runs every phase with every peer for a short time. No message may be lost,
// and the server must count every client.
func TestMeasure(t *testing.T) {
	o := &options{
		server: command(t), kinds: server.Kinds(), clients: []int{1, 3}, reps: 1, phases: "ibpurcx",
		total: 300, rate: 500, length: 20 * time.Millisecond, quiet: 100 * time.Millisecond, resumes: 2,
	}
	var out strings.Builder
	require.NoError(t, measureAll(&out, o))
	names := strings.Split(header, ",")
	seen := map[string]int{}
	for line := range strings.Lines(out.String()) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		if cells[0] == "kind" {
			continue
		}
		seen[cells[3]]++
		require.Equal(t, "0", cells[5], line) // lost
		switch cells[3] {
		case "idle", "after":
			require.Equal(t, cells[1], cells[4], line) // clients
		case "resume", "connect", "reconnect", "connect-all":
			require.Contains(t, line, ",cpu_ms=")
		default:
			require.Len(t, cells, len(names), line)
			require.NotEqual(t, "0", cells[4], line)
		}
	}
	logs := 2 * 2 // nodebus-log and raw-log
	n := len(server.Kinds())*2 - logs
	require.Equal(t, map[string]int{
		"idle": n, "blast": n, "paced": n, "burst10": n, "steady500": n, "after": n,
		"resume": logs, "connect": logs, "reconnect": logs, "connect-all": logs,
	}, seen)
}

func TestStalledClients(t *testing.T) {
	var out strings.Builder
	o := &options{
		server: command(t), kinds: []string{"nodebus"}, clients: []int{2}, reps: 1, phases: "b",
		total: 20_000, stalled: 2, length: 20 * time.Millisecond, quiet: 10 * time.Millisecond,
	}
	require.NoError(t, measureAll(&out, o))
	require.Contains(t, out.String(), "nodebus,2,0,blast,20000,0,")
}

func TestParse(t *testing.T) {
	o, output, err := parse([]string{"-kinds", "gws,nodebus", "-n", "1,20", "-o", "file"})
	require.NoError(t, err)
	require.Equal(t, []string{"gws", "nodebus"}, o.kinds)
	require.Equal(t, []int{1, 20}, o.clients)
	require.Equal(t, "file", output)
	for _, n := range []string{"", "none", "0"} {
		_, _, err := parse([]string{"-n", n})
		require.Error(t, err)
	}
}

// TestServerClosesDuringTheHandshake: the error says what has happened.
func TestServerClosesDuringTheHandshake(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	served := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = c.Write([]byte("HTTP/1.1 101"))
			err = c.Close()
		}
		served <- err
	}()
	l, err := newLoad(&child{hello: server.Stat{Addr: ln.Addr().String(), Wire: &server.Wire{Path: "/"}}})
	require.NoError(t, err)
	defer l.close()
	err = l.connect(false)
	require.NoError(t, <-served)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "HTTP/1.1 101")
	require.NotContains(t, err.Error(), "%!")
}
