package nodebus_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

func TestPartOfABatchIsWrittenFirstNextTime(t *testing.T) {
	for takes := range 4 {
		t.Run(fmt.Sprint("takes ", takes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				gate := newHoldUp(t)
				serveOn(t, h.Join("x", nil), gate) // holds the worker, so that a batch gathers
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
	synctest.Test(t, func(t *testing.T) {
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

// wireTape is a tryTape that records the wire form of batches, and what memory
// they were in.
type wireTape struct {
	tryTape
	form  *nodebus.Form
	wires *[]inMemory
}

type inMemory struct {
	text string
	at   *byte
}

func (p wireTape) TryWrite(b *nodebus.Batch) (bool, error) {
	w := b.Wire(p.form)
	*p.wires = append(*p.wires, inMemory{string(w), unsafe.SliceData(w)})
	return p.tryTape.TryWrite(b)
}

// countingForm appends the frame in brackets.
func countingForm() (form *nodebus.Form, made func() int) {
	var mu sync.Mutex
	n := 0
	form = &nodebus.Form{Append: func(dst []byte, f nodebus.Frame) []byte {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Appendf(dst, "[%s]", f.Data)
	}}
	return form, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func TestClientsShareABatch(t *testing.T) {
	for name, ev := range map[string]nodebus.Event{
		"of everyone":              {Broadcast: true},
		"of one client's sessions": {To: "alice"},
		"of a prompt":              {To: "alice", PromptID: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				form, made := countingForm()
				const sessions = 5
				wires := make([][]inMemory, sessions)
				for i := range sessions {
					serveOn(t, h.Join("alice", nil), wireTape{tryTape{&tape{}}, form, &wires[i]})
				}
				ids := &nodebus.SessionOptions{Codec: nodebus.JSONCodec{IDs: true}}
				var onWire []inMemory
				serveOn(t, h.Join("alice", ids), wireTape{tryTape{&tape{}}, form, &onWire})
				synctest.Wait()
				for n := range 3 {
					ev.Payload = word(fmt.Sprint(n))
					publish(t, h, ev)
					synctest.Wait()
					require.Contains(t, onWire[n].text, fmt.Sprintf(`"data":"%d","id":`, n))
					require.Equal(t, 2*(n+1), made(), "one form of each codec")
					require.Equal(t, fmt.Sprintf(`[{"type":"word","data":"%d"}]`, n), wires[0][n].text)
					for i := range wires {
						require.Len(t, wires[i], n+1)
						require.Equal(t, wires[0][n], wires[i][n])
					}
				}
			})
		})
	}
}

func TestBatchWireIsItsFramesOneAfterTheOther(t *testing.T) {
	form, made := countingForm()
	other := &nodebus.Form{Append: func(dst []byte, f nodebus.Frame) []byte { return append(dst, f.Data...) }}
	b := nodebus.NewBatch(nodebus.Frame{Data: []byte("a")}, nodebus.Frame{Data: []byte("b")})
	require.Equal(t, "[a][b]", string(b.Wire(form)))
	require.Equal(t, "[a][b]", string(b.Wire(form)))
	require.Equal(t, 2, made())
	require.Equal(t, "ab", string(b.Wire(other)))
	require.Equal(t, "[a][b]", string(b.Wire(form)))
	require.Len(t, b.Frames(), 2)
}

func TestFrameWireIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		form, made := countingForm()
		other, otherMade := countingForm()
		a, b, c := &tape{}, &tape{}, &tape{}
		serveOn(t, h.Join("a", nil), a)
		serveOn(t, h.Join("b", nil), b)
		serveOn(t, h.Join("c", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{IDs: true}}), c)
		say(t, h, "w")
		synctest.Wait()
		w := a.frames[0].Wire(form)
		require.Equal(t, `[{"type":"word","data":"w"}]`, string(w))
		require.Same(t, unsafe.SliceData(w), unsafe.SliceData(b.frames[0].Wire(form)))
		require.Equal(t, 1, made())
		require.NotSame(t, unsafe.SliceData(w), unsafe.SliceData(a.frames[0].Wire(other)))
		require.Equal(t, string(w), string(b.frames[0].Wire(other)))
		require.Equal(t, 1, otherMade())
		require.Contains(t, string(c.frames[0].Wire(form)), `"id":`)

		own := nodebus.Frame{Data: []byte("x")} // of no hub: nobody to share it with
		require.Equal(t, "[x]", string(own.Wire(form)))
	})
}

func TestMoodyConnectionsGetEverythingInOrder(t *testing.T) {
	const publishers, each = 4, 500
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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

// faultyTry fails or panics once it is written to.
type faultyTry struct {
	*tape
	err error
}

func (p faultyTry) TryWrite(*nodebus.Batch) (bool, error) {
	if p.err == nil {
		panic("no")
	}
	return true, p.err
}

func TestTryWriteThatFails(t *testing.T) {
	broken := errors.New("broken")
	for name, err := range map[string]error{"error": broken, "panic": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				good, bad := &tape{}, &tape{}
				serveOn(t, h.Join("x", nil), tryTape{good})
				over := serveOn(t, h.Join("x", nil), faultyTry{bad, err})
				synctest.Wait()
				say(t, h, "a", "b")
				if got := over(); err != nil {
					require.ErrorIs(t, got, broken)
				} else {
					require.ErrorContains(t, got, "TryWrite panicked: no")
				}
				synctest.Wait()
				require.Equal(t, []string{"a", "b"}, good.said(t))
				require.Equal(t, []error{over()}, bad.closed)
				require.Empty(t, bad.frames)
			})
		})
	}
}
