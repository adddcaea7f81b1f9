//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/bench/ws/server"
	"github.com/stretchr/testify/require"
)

// TestServersAreSound tests each server with an ordinary client. Events must arrive in
// order, pings must be answered meanwhile, and the server must notice that the client has
// closed. The raw servers are not tested for that because they only write.
func TestServersAreSound(t *testing.T) {
	for _, kind := range server.Kinds() {
		t.Run(kind, func(t *testing.T) {
			c, err := start(command(t), kind, 4096)
			require.NoError(t, err)
			defer c.stop()
			if strings.HasPrefix(kind, "raw-") && !c.hello.Wire.Stream {
				return
			}
			next, end := dialOrdinary(t, c)
			for range c.hello.Wire.Greetings {
				require.True(t, json.Valid([]byte(next())))
			}
			await(t, c, 1)

			const n = 1000
			require.NoError(t, c.tell("blast %d 4096", n))
			readInOrder(t, next, c.hello.Wire.Key, n)
			st, err := c.answer()
			require.NoError(t, err)
			require.EqualValues(t, n, st.Published)
			end()
			if !strings.HasPrefix(kind, "raw-") {
				await(t, c, 0)
			}
		})
	}
}

// dialOrdinary connects a client of an ordinary library. next returns the next message, and
// end closes the connection.
func dialOrdinary(t *testing.T, c *child) (next func() string, end func()) {
	wire := c.hello.Wire
	path := c.hello.Addr + wire.Path
	if strings.Contains(path, "%") {
		path = fmt.Sprintf(path, 0)
	}
	if wire.Stream {
		return dialStream(t, "http://"+path)
	}
	client, _, err := websocket.Dial(t.Context(), "ws://"+path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.CloseNow() })
	if wire.First != "" {
		require.NoError(t, client.Write(t.Context(), websocket.MessageText, []byte(wire.First)))
	}
	pinged := make(chan error, 1)
	go func() { pinged <- client.Ping(t.Context()) }()
	var lines []string
	next = func() string {
		if len(lines) == 0 {
			typ, msg, err := client.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, websocket.MessageText, typ)
			lines = []string{string(msg)}
			if wire.Lines {
				lines = strings.Split(strings.TrimSuffix(string(msg), "\n"), "\n")
			}
		}
		line := lines[0]
		lines = lines[1:]
		return line
	}
	return next, func() {
		ctx := client.CloseRead(context.Background())
		require.NoError(t, <-pinged)
		require.NoError(t, client.Close(websocket.StatusNormalClosure, ""))
		<-ctx.Done()
	}
}

func dialStream(t *testing.T, url string) (next func() string, end func()) {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport}).Get(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, response.Header.Get("Content-Type"), "text/event-stream")
	lines := bufio.NewScanner(response.Body)
	next = func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
				return data
			}
		}
		require.Fail(t, "the stream has ended", "%v", lines.Err())
		return ""
	}
	return next, func() { require.NoError(t, response.Body.Close()) }
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

// readInOrder reads n events. No event may be older than the event before it.
func readInOrder(t *testing.T, next func() string, key string, n int) {
	last := int64(0)
	for range n {
		msg := next()
		require.True(t, json.Valid([]byte(msg)), "%s", msg)
		_, rest, ok := strings.Cut(msg, key)
		require.True(t, ok, "%s", msg)
		made, err := strconv.ParseInt(rest[:19], 10, 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, made, last)
		last = made
	}
}
