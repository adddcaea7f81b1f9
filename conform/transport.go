package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// Client is the other end of a transport under test.
type Client struct {
	// Receive waits for the next frame. It fails when the connection has ended.
	Receive func() (nodebus.Frame, error)
	// TextOnly says that the transport has no form for binary frames; it must
	// leave them out.
	TextOnly bool
}

// patience is how long something may take that should take no time at all.
const patience = 20 * time.Second

// Transport holds a [nodebus.Transport] against its contract. connect makes a
// fresh pair for each test: the transport and the client it writes to. The
// client must not read ahead of Receive by more than the system's buffers.
func Transport(t *testing.T, connect func(t *testing.T) (nodebus.Transport, Client)) {
	tests := map[string]func(*testing.T, nodebus.Transport, Client){
		"frames arrive whole and in order":        inOrder,
		"a frame may be large":                    largeFrame,
		"a write without frames is nothing":       emptyWrite,
		"close ends the connection":               closeEnds,
		"close ends a write that waits":           closeEndsWrite,
		"a write after close fails":               writeAfterClose,
		"a session serves it":                     servesSession,
		"trying does not wait, and loses nothing": tryLosesNothing,
		"a session survives a slow client":        slowClient,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr, c := connect(t)
			test(t, tr, c)
		})
	}
}

func frame(n int, size int) nodebus.Frame {
	data := fmt.Sprintf(`{"type":"conform","data":{"n":%d,"pad":"%s"}}`, n, strings.Repeat("x", size))
	return nodebus.Frame{ID: uint64(n + 1), Type: "conform", Data: []byte(data)}
}

func binaryFrame(n int) nodebus.Frame {
	return nodebus.Frame{ID: uint64(n + 1), Type: "9", Binary: true, Data: []byte{0, 0, 0, 9, byte(n), '\n', 0xff}}
}

func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s takes for ever", what)
	}
}

func expect(t *testing.T, c Client, want ...nodebus.Frame) {
	t.Helper()
	within(t, "receiving", func() {
		for i, w := range want {
			if w.Binary && c.TextOnly {
				continue
			}
			got, err := c.Receive()
			if err != nil {
				t.Errorf("frame %d of %d: %v", i, len(want), err)
				return
			}
			if got.Binary != w.Binary || !bytes.Equal(got.Data, w.Data) {
				t.Errorf("frame %d of %d: got %.80q (binary %t), want %.80q (binary %t)", i, len(want), got.Data, got.Binary, w.Data, w.Binary)
				return
			}
		}
	})
}

// pass writes frames while the client receives them: a connection need not have
// room for what nobody reads.
func pass(t *testing.T, tr nodebus.Transport, c Client, frames ...nodebus.Frame) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- tr.Write(context.Background(), frames) }()
	expect(t, c, frames...)
	within(t, "writing", func() {
		if err := <-ended; err != nil {
			t.Errorf("write: %v", err)
		}
	})
}

func inOrder(t *testing.T, tr nodebus.Transport, c Client) {
	var all []nodebus.Frame
	for n := range 50 {
		f := frame(n, n*n)
		if n%7 == 3 {
			f = binaryFrame(n)
		}
		all = append(all, f)
	}
	go func() {
		_ = tr.Write(context.Background(), all[:1])
		_ = tr.Write(context.Background(), all[1:40])
		for _, f := range all[40:] {
			_ = tr.Write(context.Background(), []nodebus.Frame{f})
		}
	}()
	expect(t, c, all...)
	end(t, tr)
}

func end(t *testing.T, tr nodebus.Transport) {
	t.Helper()
	within(t, "closing", func() { _ = tr.Close(nodebus.ErrClosed) })
}

func largeFrame(t *testing.T, tr nodebus.Transport, c Client) {
	sizes := []int{0, 100, 125, 126, 127, 65535 - 45, 65536, 3 << 20}
	var all []nodebus.Frame
	for n, size := range sizes {
		all = append(all, frame(n, size))
	}
	go func() { _ = tr.Write(context.Background(), all) }()
	expect(t, c, all...)
	end(t, tr)
}

func emptyWrite(t *testing.T, tr nodebus.Transport, c Client) {
	within(t, "writing nothing", func() {
		if err := tr.Write(context.Background(), nil); err != nil {
			t.Errorf("write without frames: %v", err)
		}
	})
	pass(t, tr, c, frame(1, 1))
	end(t, tr)
}

func closeEnds(t *testing.T, tr nodebus.Transport, c Client) {
	pass(t, tr, c, frame(1, 1))
	end(t, tr)
	within(t, "the client's noticing that the connection is closed", func() {
		for {
			if _, err := c.Receive(); err != nil {
				return
			}
			t.Error("a frame came after the end")
		}
	})
}

// fill writes until the client, who does not read, has taken all it can: then
// the write waits. It returns what the write ended with.
func fill(tr nodebus.Transport) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			if err := tr.Write(context.Background(), []nodebus.Frame{frame(n, 1<<20)}); err != nil {
				ended <- err
				return
			}
			if n > 1000 {
				ended <- errors.New("1000 MiB were taken by a client that does not read")
				return
			}
		}
	}()
	return ended
}

func closeEndsWrite(t *testing.T, tr nodebus.Transport, _ Client) {
	ended := fill(tr)
	select {
	case err := <-ended:
		t.Fatalf("write ended by itself: %v", err)
	case <-time.After(200 * time.Millisecond): // as good as for ever: nobody reads
	}
	end(t, tr)
	select {
	case err := <-ended:
		if err == nil {
			t.Fatal("a write that Close has ended tells of no error")
		}
	case <-time.After(patience):
		t.Fatal("a write goes on after Close")
	}
}

func writeAfterClose(t *testing.T, tr nodebus.Transport, c Client) {
	pass(t, tr, c, frame(1, 1))
	end(t, tr)
	within(t, "writing after close", func() {
		if err := tr.Write(context.Background(), []nodebus.Frame{frame(2, 1)}); err == nil {
			t.Error("a write after Close tells of no error")
		}
		if try, ok := tr.(nodebus.TryWriter); ok {
			if _, err := try.TryWrite(nodebus.NewBatch(frame(3, 1))); err == nil {
				t.Error("a try after Close tells of no error")
			}
		}
	})
}

// servesSession runs the transport under a hub's session, to the end.
func servesSession(t *testing.T, tr nodebus.Transport, c Client) {
	hub := nodebus.NewHub(nil)
	s := hub.Join("client", nil)
	over := make(chan error, 1)
	go func() { over <- s.Serve(context.Background(), tr) }()
	const n = 500
	go func() {
		for i := range n {
			if err := hub.Broadcast(note{i}); err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
	}()
	within(t, "receiving", func() {
		for i := range n {
			got, err := c.Receive()
			if err != nil {
				t.Errorf("event %d: %v", i, err)
				return
			}
			if want := fmt.Sprintf(`{"type":"conform.note","data":{"N":%d}}`, i); string(got.Data) != want {
				t.Errorf("event %d is %.80q, want %q", i, got.Data, want)
				return
			}
		}
	})
	within(t, "closing the hub", func() { _ = hub.Close() })
	within(t, "serving", func() {
		if err := <-over; !errors.Is(err, nodebus.ErrClosed) {
			t.Errorf("Serve ended with %v, want ErrClosed", err)
		}
	})
}

type note struct{ N int }

func (note) EventType() string { return "conform.note" }

// tryLosesNothing writes without waiting until there is no more room, then
// waits for the rest.
func tryLosesNothing(t *testing.T, tr nodebus.Transport, c Client) {
	try, ok := tr.(nodebus.TryWriter)
	if !ok { // it need not be one
		end(t, tr)
		return
	}
	var sent []nodebus.Frame
	within(t, "trying", func() {
		for n := 0; n < 1000; n++ {
			f := frame(n, 100<<10)
			all, err := try.TryWrite(nodebus.NewBatch(f))
			if err != nil {
				t.Errorf("try %d: %v", n, err)
				return
			}
			sent = append(sent, f)
			if !all {
				return
			}
		}
		t.Error("100 MiB were taken by a client that does not read")
	})
	last := frame(-1, 10)
	go func() {
		_ = tr.Write(context.Background(), nil)
		_ = tr.Write(context.Background(), []nodebus.Frame{last})
	}()
	expect(t, c, append(sent, last)...)
	end(t, tr)
}

// slowClient lets a session run into a client that does not read, which then
// reads everything.
func slowClient(t *testing.T, tr nodebus.Transport, c Client) {
	hub := nodebus.NewHub(&nodebus.HubOptions{QueueBytes: 1 << 30})
	s := hub.Join("client", nil)
	over := make(chan error, 1)
	go func() { over <- s.Serve(context.Background(), tr) }()
	const n = 300
	pad := strings.Repeat("x", 64<<10)
	within(t, "publishing to a client that does not read", func() {
		for i := range n {
			if err := hub.SendSync(nodebus.Custom{Type: "conform", Data: []any{i, pad}}); err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
	})
	within(t, "receiving", func() {
		for i := range n {
			got, err := c.Receive()
			if err != nil {
				t.Errorf("event %d: %v", i, err)
				return
			}
			if want := fmt.Sprintf(`{"type":"conform","data":[%d,"x`, i); !strings.HasPrefix(string(got.Data), want) {
				t.Errorf("event %d is %.60q", i, got.Data)
				return
			}
		}
	})
	within(t, "closing the hub", func() { _ = hub.Close() })
	within(t, "serving", func() {
		if err := <-over; !errors.Is(err, nodebus.ErrClosed) {
			t.Errorf("serving ended with %v, not with ErrClosed", err)
		}
	})
}
