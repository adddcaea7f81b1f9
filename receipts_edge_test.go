package nodebus_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// stock joins alice without a cursor.
func stock(t testing.TB, h *nodebus.Hub, tr nodebus.Transport) *nodebus.Session {
	s := h.Join("alice", &nodebus.SessionOptions{Confirms: true})
	serveOn(t, s, tr)
	synctest.Wait()
	return s
}

// owed returns what alice is sent when she comes back.
func owed(t *testing.T, h *nodebus.Hub) []string {
	p := &tape{}
	s := stock(t, h, p)
	s.Close(nil)
	synctest.Wait()
	return p.said(t)
}

func success(id string) nodebus.Event { return about(id, nodebus.ExecutionSuccess{PromptID: id}) }

// hasty is a transport whose client has all bytes and answers before the transport
// returns.
type hasty struct {
	tryTape
	answer func(nodebus.Frame)
	err    error // the result of a write with an outcome
}

func (p hasty) answerAll(frames []nodebus.Frame) (err error) {
	for _, f := range frames {
		if f.Type == "execution_success" {
			p.answer(f)
			err = p.err
		}
	}
	return err
}

func (p hasty) TryWrite(wire []byte) (bool, error) {
	all, err := p.tryTape.TryWrite(wire)
	return all, cmp.Or(err, p.answerAll(parseWire(wire)))
}

func (p hasty) Write(ctx context.Context, frames []nodebus.Frame) error {
	err := p.tryTape.Write(ctx, frames)
	return cmp.Or(err, p.answerAll(frames))
}

// TestReceiptBeforeWriteReturns checks that a receipt counts that arrives while the
// transport still writes, as it may over a quick line. If the write then fails, the client
// may lack what followed the outcome, and is sent the prompt again.
func TestReceiptBeforeWriteReturns(t *testing.T) {
	broken := errors.New("the line is broken")
	for name, c := range map[string]struct {
		leaves bool // the session ends before the write returns, too
		err    error
		owed   []string
	}{
		"the client stays":  {false, nil, nil},
		"the client leaves": {true, nil, nil},
		"the write fails":   {false, broken, []string{"execution_start", "execution_success", "executing"}},
		"both":              {true, broken, []string{"execution_start", "execution_success", "executing"}},
	} {
		for _, try := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, try=%t", name, try), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					h := openHub(t, nil)
					s := h.Join("alice", &nodebus.SessionOptions{Confirms: true})
					p := hasty{tryTape: tryTape{&tape{}}, err: c.err, answer: func(f nodebus.Frame) {
						s.Confirm(f.ID)
						if c.leaves {
							s.Close(nil)
						}
					}}
					gate := newHoldUp(t)
					serveOn(t, h.Join("alice", nil), gate) // all events of the prompt in one batch
					var tr nodebus.Transport = p
					if !try {
						tr = struct{ nodebus.Transport }{p}
					}
					serveOn(t, s, tr)
					synctest.Wait()
					publish(t, h, start("1"))
					synctest.Wait()
					publish(t, h, success("1"), ending("1"))
					gate.open()
					synctest.Wait()
					require.Equal(t, c.owed, owed(t, h))
				})
			})
		}
	}
}

// TestReceiptForBytesThatTheTransportKept checks that a receipt counts although the
// connection took the outcome only later.
func TestReceiptForBytesThatTheTransportKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := newPausedTape()
		s := stock(t, h, tryTape{p})
		publish(t, h, start("1"), success("1"), ending("1"))
		synctest.Wait()
		require.Empty(t, p.frames)
		p.play()
		synctest.Wait()
		require.Len(t, p.frames, 3)
		s.Confirm(p.frames[1].ID)
		s.Close(nil)
		synctest.Wait()
		require.Empty(t, owed(t, h))
	})
}

// TestReceiptCountsForPromptsThatHaveEnded checks that a receipt for one prompt is none
// for an older outcome whose prompt is not closed yet.
func TestReceiptCountsForPromptsThatHaveEnded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := &tape{}
		s := stock(t, h, p)
		publish(t, h, start("a"), start("b"), success("a"), success("b"), ending("b"))
		synctest.Wait()
		s.Confirm(p.frames[3].ID)
		s.Close(nil)
		synctest.Wait()
		publish(t, h, ending("a"))
		require.Equal(t, []string{"execution_start", "execution_success", "executing"}, owed(t, h), "the client has not received the end of a")
	})
}

// TestReceiptOnAnotherConnection checks that a connection that never answers delays no other
// one when the client has confirmed all outcomes elsewhere.
func TestReceiptOnAnotherConnection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := &tape{}
		stock(t, h, &tape{})
		s := stock(t, h, p)
		publish(t, h, start("1"), success("1"), ending("1"))
		synctest.Wait()
		begin := time.Now()
		require.Len(t, owed(t, h), 3)
		require.Positive(t, time.Since(begin), "a receipt may be on its way")
		s.Confirm(p.frames[1].ID)
		begin = time.Now()
		require.Empty(t, owed(t, h))
		require.Zero(t, time.Since(begin))
	})
}

// TestReceiptIsForgottenWithItsPrompt checks that a client whose prompts are all confirmed
// and gone can have new ones.
func TestReceiptIsForgottenWithItsPrompt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{Retain: time.Minute})
		p := &tape{}
		s := stock(t, h, p)
		publish(t, h, start("1"), success("1"), ending("1"))
		synctest.Wait()
		s.Confirm(p.frames[1].ID)
		s.Close(nil)
		synctest.Wait()
		publish(t, h, start("2"), start("1"), success("2"), ending("2"))
		require.Len(t, owed(t, h), 4, "prompt 2, and the new life of prompt 1")
		time.Sleep(2 * time.Minute)
		publish(t, h, success("1"), ending("1"))
		require.Equal(t, []string{"execution_start", "execution_success", "executing"}, owed(t, h))
	})
}

// counting is a transport that notes whether Session.Outcomes has grown before each
// TryWrite, and whether the bytes hold an outcome.
type counting struct {
	tryTape
	s         *nodebus.Session
	seen      *uint64
	grew, had *[]bool
}

func (p counting) TryWrite(wire []byte) (bool, error) {
	now := p.s.Outcomes()
	*p.grew = append(*p.grew, now > *p.seen)
	*p.seen = now
	*p.had = append(*p.had, slices.ContainsFunc(parseWire(wire), func(f nodebus.Frame) bool { return f.Type == "execution_success" }))
	return p.tryTape.TryWrite(wire)
}

// TestOutcomesGrowBeforeEachBatchWithAnOutcome: the worker writes three batches one after the
// other, and two of them hold outcomes.
func TestOutcomesGrowBeforeEachBatchWithAnOutcome(t *testing.T) {
	for confirms, want := range map[bool][]bool{true: {false, true, false, true}, false: {false, false, false, false}} {
		t.Run(fmt.Sprintf("confirms=%t", confirms), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				gate := newHoldUp(t)
				serveOn(t, h.Join("alice", nil), gate) // so that events gather in batches
				s := h.Join("alice", &nodebus.SessionOptions{Confirms: confirms})
				p := counting{tryTape{&tape{}}, s, new(uint64), new([]bool), new([]bool)}
				serveOn(t, s, p)
				synctest.Wait()
				publish(t, h, start("p"))
				synctest.Wait()
				publish(t, h, success("p"), ending("p"))
				require.NoError(t, h.SendSync(word(strings.Repeat("x", 65_500)), "alice")) // a batch
				publish(t, h, start("q"), success("q"), ending("q"))
				gate.open()
				synctest.Wait()
				require.Equal(t, []bool{false, true, false, true}, *p.had)
				require.Equal(t, want, *p.grew)
				require.EqualValues(t, map[bool]int{true: 2}[confirms], s.Outcomes())
			})
		})
	}
}
