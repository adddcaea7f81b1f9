package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// Receiver is the receiving end of a transport under test.
type Receiver struct {
	// Receive waits for the next frame. It returns an error when the connection has ended.
	Receive func() (nodebus.Frame, error)
	// TextOnly says that the transport cannot send binary frames. The transport must
	// drop them.
	TextOnly bool
	// Cancels says that a Write that waits returns when its context ends. Without it, only
	// Close has to end a Write.
	Cancels bool
}

// patience limits the time of operations that should end immediately. It only ends what hangs:
// a slow machine, whose cores others use, takes its time too.
var patience = time.Minute

// Transport tests a [nodebus.Transport] against its contract. connect returns a new pair
// for each test: a transport and the client that receives its frames. The client must not
// read ahead of Receive, except for the buffers of the system.
func Transport(t *testing.T, connect func(t *testing.T) (nodebus.Transport, Receiver)) {
	tests := map[string]func(*testing.T, nodebus.Transport, Receiver){
		"frames arrive whole and in order":        inOrder,
		"a frame may be large":                    largeFrame,
		"a write without frames succeeds":         emptyWrite,
		"close ends the connection":               closeEnds,
		"close ends a blocked write":              closeEndsWrite,
		"a write after close fails":               writeAfterClose,
		"the context ends a blocked write":        contextEndsWrite,
		"a session ends during a write":           endsDuringWrite,
		"a session works with it":                 servesSession,
		"TryWrite never blocks and loses nothing": tryLosesNothing,
		"AppendFrame depends on the frame alone":  appendsFrames,
		"ReadLoop ends after Close":               readLoopEnds,
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
	var late atomic.Bool
	go func() {
		defer close(done)
		defer func() {
			if late.Load() { // f may use t after the end of the test, which panics
				_ = recover()
			}
		}()
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		late.Store(true)
		t.Errorf("%s did not end in time", what)
		t.Cleanup(func() { // f may still use t
			select {
			case <-done:
			case <-time.After(patience):
			}
		})
		t.FailNow()
	}
}

func expect(t *testing.T, c Receiver, want ...nodebus.Frame) {
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

// pass writes frames while the client receives them, because the connection may have no
// room for frames that the client does not read.
func pass(t *testing.T, tr nodebus.Transport, c Receiver, frames ...nodebus.Frame) {
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

func inOrder(t *testing.T, tr nodebus.Transport, c Receiver) {
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

func largeFrame(t *testing.T, tr nodebus.Transport, c Receiver) {
	sizes := []int{0, 100, 125, 126, 127, 65535 - 45, 65536, 3 << 20}
	var all []nodebus.Frame
	for n, size := range sizes {
		all = append(all, frame(n, size))
	}
	go func() { _ = tr.Write(context.Background(), all) }()
	expect(t, c, all...)
	end(t, tr)
}

func emptyWrite(t *testing.T, tr nodebus.Transport, c Receiver) {
	within(t, "writing nothing", func() {
		if err := tr.Write(context.Background(), nil); err != nil {
			t.Errorf("write without frames: %v", err)
		}
	})
	pass(t, tr, c, frame(1, 1))
	end(t, tr)
}

func closeEnds(t *testing.T, tr nodebus.Transport, c Receiver) {
	pass(t, tr, c, frame(1, 1))
	end(t, tr)
	within(t, "waiting until the client sees the closed connection", func() {
		for {
			if _, err := c.Receive(); err != nil {
				return
			}
			t.Error("the client received a frame after Close")
		}
	})
}

// closeEndsWrite closes the transport in the middle of a Write. The Write is known to be
// under way, because its first frame has arrived, and it cannot end, because the rest
// is more than any connection holds for a client that does not read.
func closeEndsWrite(t *testing.T, tr nodebus.Transport, c Receiver) {
	frames := slices.Repeat([]nodebus.Frame{frame(1, 1<<20)}, 65)
	frames[0] = frame(0, 1)
	ended := make(chan error, 1)
	go func() { ended <- tr.Write(context.Background(), frames) }()
	expect(t, c, frames[0])
	end(t, tr)
	within(t, "a Write during Close", func() {
		if err := <-ended; err == nil {
			t.Error("Write returned no error, although it was closed or the client did not read 64 MiB")
		}
	})
}

// contextEndsWrite ends the context of a Write that is under way.
func contextEndsWrite(t *testing.T, tr nodebus.Transport, c Receiver) {
	defer end(t, tr)
	if !c.Cancels {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	frames := slices.Repeat([]nodebus.Frame{frame(1, 1<<20)}, 65)
	frames[0] = frame(0, 1)
	ended := make(chan error, 1)
	go func() { ended <- tr.Write(ctx, frames) }()
	expect(t, c, frames[0])
	cancel()
	within(t, "a Write whose context has ended", func() {
		if err := <-ended; err == nil {
			t.Error("Write returned no error, although its context has ended")
		}
	})
}

func writeAfterClose(t *testing.T, tr nodebus.Transport, c Receiver) {
	pass(t, tr, c, frame(1, 1))
	end(t, tr)
	within(t, "writing after close", func() {
		if err := tr.Write(context.Background(), []nodebus.Frame{frame(2, 1)}); err == nil {
			t.Error("Write after Close returned no error")
		}
		if try, ok := tr.(nodebus.TryWriter); ok {
			if _, err := try.TryWrite(try.AppendFrame(nil, frame(3, 1))); err == nil {
				t.Error("TryWrite after Close returned no error")
			}
		}
	})
}

// tryLosesNothing calls TryWrite until the connection has no more room, and then sends the
// rest with Write.
func tryLosesNothing(t *testing.T, tr nodebus.Transport, c Receiver) {
	try, ok := tr.(nodebus.TryWriter)
	if !ok { // a transport without TryWrite is valid
		end(t, tr)
		return
	}
	var sent []nodebus.Frame
	within(t, "trying", func() {
		for n := 0; n < 1000; n++ {
			f := frame(n, 100<<10)
			all, err := try.TryWrite(try.AppendFrame(nil, f))
			if n == 0 && errors.Is(err, errors.ErrUnsupported) { // only Write works on this connection
				return
			}
			if err != nil {
				t.Errorf("try %d: %v", n, err)
				return
			}
			sent = append(sent, f)
			if !all {
				return
			}
		}
		t.Error("TryWrite accepted 100 MiB, although the client does not read; it must return false")
	})
	last := frame(-1, 10)
	go func() {
		_ = tr.Write(context.Background(), nil)
		_ = tr.Write(context.Background(), []nodebus.Frame{last})
	}()
	expect(t, c, append(sent, last)...)
	end(t, tr)
}

// appendsFrames checks that the hub can give the bytes of AppendFrame to any connection.
func appendsFrames(t *testing.T, tr nodebus.Transport, _ Receiver) {
	defer end(t, tr)
	try, ok := tr.(nodebus.TryWriter)
	if !ok {
		return
	}
	frames := []nodebus.Frame{frame(1, 0), frame(2, 1000), frame(3, 1<<17), binaryFrame(4)}
	var all, apart []byte
	for _, f := range frames {
		all = try.AppendFrame(all, f)
		one := try.AppendFrame([]byte("before"), f)
		if !bytes.HasPrefix(one, []byte("before")) {
			t.Errorf("AppendFrame changes the bytes before the frame: %.20q", one)
		}
		apart = append(apart, one[len("before"):]...)
	}
	if !bytes.Equal(all, apart) {
		t.Error("AppendFrame returns other bytes for the same frames after other bytes")
	}
}

// readLoopEnds checks that a transport that reads its client stops after Close.
func readLoopEnds(t *testing.T, tr nodebus.Transport, _ Receiver) {
	r, ok := tr.(interface {
		ReadLoop(ctx context.Context) error
	})
	if !ok {
		end(t, tr)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- r.ReadLoop(context.Background()) }()
	end(t, tr)
	within(t, "ReadLoop", func() {
		if err := <-ended; err == nil {
			t.Error("it ended without a reason")
		}
	})
}
