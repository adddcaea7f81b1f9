//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
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
	self, err := os.Executable()
	require.NoError(t, err)
	return []string{self}
}

// TestMeasure runs every phase with every peer for a short time. No message may be lost,
// and the server must count every client.
func TestMeasure(t *testing.T) {
	o := &options{
		server: command(t), kinds: server.Kinds(), clients: []int{1, 3}, reps: 1, phases: "ibpur",
		total: 300, rate: 500, length: 20 * time.Millisecond, quiet: 10 * time.Millisecond,
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
		if cells[3] == "idle" || cells[3] == "after" {
			require.Equal(t, cells[1], cells[4], line) // clients
			continue
		}
		require.Len(t, cells, len(names), line)
		require.Equal(t, "0", cells[5], line) // lost
		require.NotEqual(t, "0", cells[4], line)
	}
	n := len(server.Kinds()) * 2
	require.Equal(t, map[string]int{"idle": n, "blast": n, "paced": n, "burst10": n, "steady500": n, "after": n}, seen)
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
	l, err := newLoad(&child{hello: server.Stat{Addr: ln.Addr().String()}})
	require.NoError(t, err)
	defer l.close()
	err = l.connect(false)
	require.NoError(t, <-served)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "HTTP/1.1 101")
	require.NotContains(t, err.Error(), "%!")
}

// TestServersAreSound tests each server with an ordinary client. Messages must arrive in
// order, pings must be answered meanwhile, and the server must notice that the client has
// closed. The raw servers are skipped because they only write.
func TestServersAreSound(t *testing.T) {
	for _, kind := range server.Kinds() {
		if strings.HasPrefix(kind, "raw-") {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			c, err := start(command(t), kind, 4096)
			require.NoError(t, err)
			defer c.stop()
			client, _, err := websocket.Dial(t.Context(), "ws://"+c.hello.Addr+"/ws", nil)
			require.NoError(t, err)
			defer func() { _ = client.CloseNow() }()
			await(t, c, 1)

			const n = 1000
			require.NoError(t, c.tell("blast %d 4096", n))
			pinged := make(chan error, 1)
			go func() { pinged <- client.Ping(t.Context()) }()
			readInOrder(t, client, &c.hello, n)
			st, err := c.answer()
			require.NoError(t, err)
			require.EqualValues(t, n, st.Published)
			ctx := client.CloseRead(context.Background())
			require.NoError(t, <-pinged)
			require.NoError(t, client.Close(websocket.StatusNormalClosure, ""))
			<-ctx.Done()
			await(t, c, 0)
		})
	}
}

// await waits until the server counts this number of clients.
func await(t *testing.T, c *child, clients int) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		st, err := c.ask("stat")
		require.NoError(t, err)
		if st.Clients == clients {
			return
		}
		require.True(t, time.Now().Before(deadline), "%d clients", st.Clients)
	}
}

// readInOrder reads the greetings and n events. No event may be older than the event before
// it.
func readInOrder(t *testing.T, client *websocket.Conn, hello *server.Stat, n int) {
	last := int64(0)
	for i := -hello.Greetings; i < n; i++ {
		typ, msg, err := client.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, websocket.MessageText, typ)
		require.True(t, json.Valid(msg), "%s", msg)
		_, rest, ok := strings.Cut(string(msg), hello.Key)
		require.Equal(t, i >= 0, ok, "%s", msg)
		if !ok {
			continue
		}
		made, err := strconv.ParseInt(rest[:19], 10, 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, made, last)
		last = made
	}
}
