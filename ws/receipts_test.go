package ws_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// clerk is a session that notes the receipts.
type clerk struct {
	serving chan struct{} // closed by readFor when the connection has its session
	writes  atomic.Uint64 // number of writes with an outcome
	mu      sync.Mutex
	notes   []string
}

func newClerk() *clerk { return &clerk{serving: make(chan struct{})} }

func (c *clerk) note(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, s)
}

func (c *clerk) Outcomes() uint64    { return c.writes.Load() }
func (c *clerk) Confirm(id uint64)   { c.note(strconv.FormatUint(id, 10)) }
func (c *clerk) ConfirmWritten()     { c.note("all") }
func (c *clerk) Receive([]byte) bool { return false }

func (c *clerk) taken() (notes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	notes, c.notes = c.notes, nil
	return notes
}

// readFor returns a function that reads from a connection for a session.
func readFor(s *clerk) func(*ws.Conn) {
	return func(c *ws.Conn) {
		c.SetSession(s)
		close(s.serving)
		for err := error(nil); err == nil; {
			_, _, err = c.Read()
		}
	}
}

// nextPing reads up to the next ping of the server and returns its payload.
func nextPing(t *testing.T, c net.Conn, r *bufio.Reader) string {
	t.Helper()
	for {
		op, data, err := frameOf(t, c, r)
		require.NoError(t, err)
		if op == 0x89 {
			return string(data)
		}
	}
}

// TestReceipts checks which messages of a client count as receipts.
func TestReceipts(t *testing.T) {
	outcome := func(id uint64) nodebus.Frame {
		return nodebus.Frame{ID: id, Type: "execution_success", Outcome: true, Data: []byte("{}")}
	}
	pong := func(payload string) string { return masked(0x8a, payload) }
	for name, c := range map[string]struct {
		sent []uint64
		raw  string
		want []string
	}{
		"pong":                             {[]uint64{5}, pong("nb5"), []string{"5"}},
		"pong again":                       {[]uint64{5}, pong("nb5") + pong("nb5"), []string{"5"}},
		"pongs":                            {[]uint64{5, 7, 9}, pong("nb5") + pong("nb7") + pong("nb9"), []string{"5", "7", "9"}},
		"only the newest":                  {[]uint64{5, 7, 9}, pong("nb9"), []string{"9"}},
		"an older pong after a newer pong": {[]uint64{5, 7}, pong("nb7") + pong("nb5"), []string{"7"}},
		"empty pong":                       {[]uint64{5}, pong(""), nil},
		"unknown pong":                     {[]uint64{5}, pong("5") + pong("nb") + pong("nbx") + pong("nb05") + pong("nb+5") + pong("nb5 "), nil},
		"pong of an ID that was not sent":  {[]uint64{5, 9}, pong("nb4") + pong("nb7") + pong("nb10"), nil},
		"pong of nothing":                  {nil, pong("nb0"), nil},
		"very large ID":                    {[]uint64{1<<64 - 1}, pong("nb18446744073709551615") + pong("nb18446744073709551616"), []string{"18446744073709551615"}},
		"ping":                             {[]uint64{5}, masked(0x89, "nb5"), nil},
		"messages":                         {[]uint64{5}, masked(0x81, "nb5") + masked(0x82, "nb5"), nil},
		"close frame":                      {[]uint64{5}, masked(0x88, "\x03\xe9"), []string{"all"}},
		"close frame without a code":       {nil, masked(0x88, ""), []string{"all"}},
		"broken close frame":               {[]uint64{5}, masked(0x88, "\x03"), nil},
		"end":                              {[]uint64{5}, "", nil},
		"half a pong":                      {[]uint64{5}, pong("nb5")[:8], nil},
	} {
		for _, try := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, try=%t", name, try), func(t *testing.T) {
				accept, s := make(chan *ws.Conn, 1), newClerk()
				done := make(chan struct{})
				srv := httptest.NewServer(acceptingWith(t, accept, done, readFor(s)))
				defer srv.Close()
				client, r := handshake(t, srv.URL, "")
				conn := <-accept
				<-s.serving
				for _, id := range c.sent {
					if try {
						s.writes.Add(1)
						all, err := conn.TryWrite(conn.AppendFrame(conn.AppendFrame(nil, nodebus.Frame{Data: make([]byte, 200)}), outcome(id)))
						require.NoError(t, err)
						require.True(t, all)
					} else {
						require.NoError(t, conn.Write(t.Context(), []nodebus.Frame{{Data: make([]byte, 200)}, outcome(id)}))
					}
					_, _, err := frameOf(t, client, r)
					require.NoError(t, err)
					op, data, err := frameOf(t, client, r)
					require.NoError(t, err)
					require.Equal(t, byte(0x89), op, "the ping comes before the outcome")
					require.Equal(t, "nb"+strconv.FormatUint(id, 10), string(data))
					_, data, err = frameOf(t, client, r)
					require.NoError(t, err)
					require.Equal(t, "{}", string(data))
				}
				_, err := io.WriteString(client, c.raw)
				require.NoError(t, err)
				require.NoError(t, client.(*net.TCPConn).CloseWrite())
				_, _ = io.Copy(io.Discard, r) // until the server has read everything
				close(done)
				require.Equal(t, c.want, s.taken())
			})
		}
	}
}

// TestAnswerToOurCloseFrame checks that it is no receipt.
func TestAnswerToOurCloseFrame(t *testing.T) {
	for _, cause := range []error{nodebus.ErrSlow, nodebus.ErrClosed} {
		accept, s := make(chan *ws.Conn, 1), newClerk()
		done := make(chan struct{})
		srv := httptest.NewServer(acceptingWith(t, accept, done, readFor(s)))
		client, r := handshake(t, srv.URL, "")
		conn := <-accept
		require.NoError(t, conn.Close(cause))
		op, data, err := frameOf(t, client, r)
		require.NoError(t, err)
		require.Equal(t, byte(0x88), op)
		_, err = io.WriteString(client, masked(0x88, string(data)))
		require.NoError(t, err)
		_, _, err = frameOf(t, client, r)
		require.Error(t, err)
		close(done)
		srv.Close()
		require.Empty(t, s.taken())
	}
}

// TestReceiptOfHalfAnOutcome checks that a pong counts only when the outcome behind its
// ping is written entirely.
func TestReceiptOfHalfAnOutcome(t *testing.T) {
	for name, closes := range map[string]bool{"then the rest": false, "then a close frame": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				there, here := net.Pipe()
				conn, s := ws.NewConn(here, &ws.Options{PingInterval: -1}), &clerk{}
				conn.SetSession(s)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for {
						if _, _, err := conn.Read(); err != nil {
							return
						}
					}
				}()
				written := make(chan error, 1)
				go func() {
					written <- conn.Write(t.Context(), []nodebus.Frame{{ID: 5, Outcome: true, Data: []byte("{}")}})
				}()
				head := make([]byte, 6)
				_, err := io.ReadFull(there, head)
				require.NoError(t, err)
				require.Equal(t, "\x89\x03nb5\x81", string(head))
				_, err = io.WriteString(there, masked(0x8a, "nb5"))
				require.NoError(t, err)
				synctest.Wait()
				require.Empty(t, s.taken())
				if closes {
					_, err = io.WriteString(there, masked(0x88, ""))
					require.NoError(t, err)
					require.Error(t, <-written)
					<-ended
					require.Empty(t, s.taken())
				} else {
					_, err = io.ReadFull(there, head[:3])
					require.NoError(t, err)
					require.NoError(t, <-written)
					synctest.Wait()
					require.Equal(t, []string{"5"}, s.taken())
				}
				require.NoError(t, there.Close())
				<-ended
				require.NoError(t, conn.Close(nil))
			})
		})
	}
}

// TestManyOutcomesWithoutReceipts checks that a client that never answers costs a
// bounded amount of memory, and that its answer to a new ping still counts.
func TestManyOutcomesWithoutReceipts(t *testing.T) {
	conn := ws.NewConn(&script{Reader: strings.NewReader(masked(0x8a, "nb1") + masked(0x8a, "nb100000"))}, &ws.Options{PingInterval: -1})
	s := &clerk{}
	conn.SetSession(s)
	for id := range uint64(100_000) {
		require.NoError(t, conn.Write(t.Context(), []nodebus.Frame{{ID: id + 1, Outcome: true}}))
	}
	require.Less(t, conn.Asked(), 1000)
	_, _, err := conn.Read()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []string{"100000"}, s.taken())
}

// TestPingsAskAgain checks that a ping of the server asks for the newest outcome without
// a receipt.
func TestPingsAskAgain(t *testing.T) {
	there, client := net.Pipe()
	conn, s := ws.NewConn(there, &ws.Options{PingInterval: -1}), &clerk{}
	conn.SetSession(s)
	r := bufio.NewReader(client)
	read, written := make(chan error), make(chan error, 1)
	go func() {
		for err := error(nil); err == nil; {
			_, _, err = conn.Read()
			read <- err
		}
	}()
	go func() {
		written <- conn.Write(t.Context(), []nodebus.Frame{{ID: 5, Outcome: true}, {ID: 8, Outcome: true}})
	}()
	require.Equal(t, "nb5", nextPing(t, client, r))
	require.Equal(t, "nb8", nextPing(t, client, r))
	_, _, err := frameOf(t, client, r)
	require.NoError(t, err)
	require.NoError(t, <-written)
	heard := make(chan struct{})
	for _, c := range []struct{ ping, answer string }{{"nb8", ""}, {"nb8", "nb8"}, {"", ""}} {
		conn.Probe(func() { heard <- struct{}{} })
		require.Equal(t, c.ping, nextPing(t, client, r))
		_, err = io.WriteString(client, masked(0x8a, c.answer)+masked(0x81, ""))
		require.NoError(t, err)
		<-heard
		require.NoError(t, <-read)
	}
	require.Equal(t, []string{"8"}, s.taken())
	require.NoError(t, client.Close())
	require.Error(t, <-read)
}
