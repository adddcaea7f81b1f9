package nodebus_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func TestPartOfABatchIsWrittenFirstNextTime(t *testing.T) {
	for takes := range 4 {
		t.Run(fmt.Sprint("takes ", takes), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				gate := newHoldUp(t)
				serveOn(t, h.Join("x", nil), gate) // blocks the worker, so that events gather in a batch
				p := newPausedTape()
				p.takes = takes
				serveOn(t, h.Join("x", nil), tryTape{p})
				synctest.Wait()
				send := func(words ...word) {
					for _, w := range words {
						require.NoError(t, h.SendSync(w, "x"))
					}
					synctest.Wait()
				}
				send("0")
				send("1", "2", "3")
				gate.open()
				synctest.Wait()
				want := []string{"0", "1", "2", "3", "4", "5"}
				if takes > 0 {
					require.Equal(t, want[:takes+1], p.said(t))
				}
				send("4")
				p.play()
				synctest.Wait()
				send("5")
				require.Equal(t, want, p.said(t))
			})
		})
	}
}

func TestBatchesAreCutAt64KiB(t *testing.T) {
	const most = 64 << 10
	sizes := []int{10, 30_000, 30_000, 30_000, 10, 10, 70_000, 10, 70_000, 70_000, 65_000, 400}
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		g := newHoldUp(t)
		serveOn(t, h.Join("x", nil), g)
		synctest.Wait()
		say(t, h, "held up")
		synctest.Wait()
		for _, n := range sizes {
			say(t, h, word(strings.Repeat("x", n)))
		}
		g.open()
		synctest.Wait()
		frames, was := 0, 0
		for _, b := range g.batches[1:] {
			size := 0
			for _, f := range b {
				size += len(f.Data)
			}
			require.True(t, size <= most || len(b) == 1, "a batch of %d frames has %d bytes", len(b), size)
			require.True(t, was == 0 || was+len(b[0].Data) > most, "a batch ends early")
			was = size
			frames += len(b)
		}
		require.Equal(t, len(sizes), frames)
	})
}

// wireTape is a tryTape that counts the frames that AppendFrame encodes for its type,
// and records the memory of each TryWrite.
type wireTape struct {
	tryTape
	made  *atomic.Int32
	wires *[]inMemory
}

type inMemory struct {
	text string
	at   *byte
}

func (p wireTape) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	p.made.Add(1)
	return p.tryTape.AppendFrame(dst, f)
}

func (p wireTape) TryWrite(wire []byte) (bool, error) {
	*p.wires = append(*p.wires, inMemory{string(wire), unsafe.SliceData(wire)})
	return p.tryTape.TryWrite(wire)
}

// otherWireTape is another Go type, so it has its own wire form.
type otherWireTape struct{ wireTape }

func (p otherWireTape) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	f.Data = append([]byte(" "), f.Data...)
	return p.wireTape.AppendFrame(dst, f)
}

func TestClientsShareABatch(t *testing.T) {
	for name, ev := range map[string]nodebus.Event{
		"of everyone":              {Broadcast: true},
		"of one client's sessions": {To: "alice"},
		"of a prompt":              {To: "alice", PromptID: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				var made atomic.Int32
				const sessions = 5
				wires := make([][]inMemory, sessions)
				for i := range sessions {
					serveOn(t, h.Join("alice", nil), wireTape{tryTape{&tape{}}, &made, &wires[i]})
				}
				ids := &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}}
				var withIDs, other []inMemory
				serveOn(t, h.Join("alice", ids), wireTape{tryTape{&tape{}}, &made, &withIDs})
				serveOn(t, h.Join("alice", nil), otherWireTape{wireTape{tryTape{&tape{}}, &made, &other}})
				synctest.Wait()
				for n := range 3 {
					ev.Payload = word(fmt.Sprint(n))
					publish(t, h, ev)
					synctest.Wait()
					require.Contains(t, withIDs[n].text, fmt.Sprintf(`"data":"%d","cursor":"%s-%d"`, n, h.Epoch(), n+1))
					require.EqualValues(t, 3*(n+1), made.Load(), "once for each codec and type of transport")
					require.Contains(t, wires[0][n].text, fmt.Sprintf(`{"type":"word","data":"%d"}`, n))
					require.Contains(t, other[n].text, fmt.Sprintf(` {"type":"word","data":"%d"}`, n))
					for i := range wires {
						require.Len(t, wires[i], n+1)
						require.Equal(t, wires[0][n], wires[i][n])
					}
				}
			})
		})
	}
}

func TestMoodyConnectionsGetEverythingInOrder(t *testing.T) {
	const publishers, each = 4, 500
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		tapes := make([]*tape, 8)
		for i := range tapes {
			tapes[i] = &tape{}
			p := moodyTape{tryTape{tapes[i]}, rand.New(rand.NewPCG(uint64(i), 1))}
			serveOn(t, h.Join(fmt.Sprint(i%5), nil), p)
		}
		var all sync.WaitGroup
		for range publishers {
			all.Go(func() {
				for range each {
					publish(t, h, nodebus.Event{Broadcast: true, Payload: word("w")})
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for _, p := range tapes {
			require.Len(t, p.frames, publishers*each)
			requireConsecutive(t, p.frames)
		}
	})
}

func TestNothingIsTriedBeforeTheGreetingIsWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		publish(t, h, start("1"))
		p := newPausedTape()
		s := h.Join("alice", &nodebus.SessionOptions{Hello: []nodebus.Payload{word("hello")}})
		say(t, h, "before Serve")
		serveOn(t, s, tryTape{p})
		synctest.Wait()
		say(t, h, "during the first Write")
		synctest.Wait()
		require.Empty(t, p.frames)
		p.play()
		synctest.Wait()
		require.Equal(t, []string{"hello", "execution_start", "before Serve", "during the first Write"}, p.said(t))
		require.NotEmpty(t, p.writes)
		n := len(p.writes)
		say(t, h, "tried")
		synctest.Wait()
		require.Len(t, p.frames, 5)
		require.Len(t, p.writes, n, "an idle connection is not written to from its own goroutine")
	})
}

// faultyTry is a transport whose methods may fail or panic.
type faultyTry struct {
	tryTape
	try, appendFrame func() error
}

func (p faultyTry) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	if p.appendFrame != nil {
		_ = p.appendFrame()
	}
	return p.tryTape.AppendFrame(dst, f)
}

func (p faultyTry) TryWrite(wire []byte) (bool, error) {
	if p.try != nil {
		return true, p.try()
	}
	return p.tryTape.TryWrite(wire)
}

func TestTryWriterThatFails(t *testing.T) {
	broken := errors.New("broken")
	panics := func() error { panic("no") }
	for name, c := range map[string]struct {
		try, appendFrame func() error
		want             string
	}{
		"TryWrite fails":     {func() error { return broken }, nil, "broken"},
		"TryWrite panics":    {panics, nil, "nodebus: transport nodebus_test.faultyTry: TryWrite: panic: no"},
		"AppendFrame panics": {nil, panics, "nodebus: transport nodebus_test.faultyTry: AppendFrame: panic: no"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				good, bad := &tape{}, &tape{}
				serveOn(t, h.Join("x", nil), tryTape{good})
				over := serveOn(t, h.Join("x", nil), faultyTry{tryTape{bad}, c.try, c.appendFrame})
				synctest.Wait()
				say(t, h, "a", "b")
				require.EqualError(t, over(), c.want)
				synctest.Wait()
				require.Equal(t, []string{"a", "b"}, good.said(t))
				require.Equal(t, []error{over()}, bad.closed)
				require.Empty(t, bad.frames)
			})
		})
	}
}

// TestTransportThatCannotTry checks that a connection that cannot write without waiting
// has its own goroutine for writing, and loses no event.
func TestTransportThatCannotTry(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p, tried := &tape{}, 0
		serveOn(t, h.Join("x", nil), faultyTry{tryTape{p}, func() error {
			tried++
			return fmt.Errorf("no: %w", errors.ErrUnsupported)
		}, nil})
		synctest.Wait()
		for _, w := range []word{"a", "b", "c"} {
			say(t, h, w)
			synctest.Wait()
		}
		require.Equal(t, []string{"a", "b", "c"}, p.said(t))
		require.Equal(t, 1, tried)
	})
}

// silent is a transport whose AppendFrame appends nothing.
type silent struct{ tryTape }

func (silent) AppendFrame(dst []byte, _ nodebus.Frame) []byte { return dst }

func TestFramesThatTheTransportLeavesOut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := &tape{}
		serveOn(t, h.Join("x", nil), silent{tryTape{p}})
		synctest.Wait()
		say(t, h, "a")
		synctest.Wait()
		require.Empty(t, p.frames)
		require.Empty(t, p.closed)
	})
}
