package soak_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
)

// piece is a numbered event of a prompt, or of nobody. It is never replaced.
type piece struct {
	Prompt string `json:"prompt"`
	N      int    `json:"n"`
	Pad    string `json:"pad"`
}

func (piece) EventType() string { return "soak.piece" }

// finish tells the clients with a cursor that nothing follows.
type finish struct{}

func (finish) EventType() string { return "soak.finish" }

// blobType is the type of the numbered binary frames.
const blobType = 20099

// blob returns a binary frame with a number.
func blob(prompt string, n int, pad string) nodebus.Custom {
	b := binary.BigEndian.AppendUint32(nil, blobType)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint32(b, uint32(len(prompt)))
	return nodebus.Custom{Type: fmt.Sprint(blobType), Data: append(append(b, prompt...), pad...)}
}

// kind is what an event is to the test.
type kind byte

const (
	kindOther kind = iota
	kindStart
	kindStep     // lossless, without a number
	kindNumbered // a piece or a blob
	kindState    // may be replaced by a newer state
	kindOutcome
	kindClosing
	kindFinish
)

// note is what the test remembers of an event.
type note struct {
	kind   kind
	n      int
	prompt string // as the payload names it
}

// noteOf describes a payload, published or received.
func noteOf(p nodebus.Payload) (note, error) {
	switch p := p.(type) {
	case nodebus.ExecutionStart:
		return note{kind: kindStart, prompt: p.PromptID}, nil
	case nodebus.ExecutionCached:
		return note{kind: kindStep, prompt: p.PromptID}, nil
	case nodebus.Executing:
		if p.UniqueID == "" {
			return note{kind: kindClosing, prompt: p.PromptID}, nil
		}
		return note{kind: kindStep, prompt: p.PromptID}, nil
	case nodebus.ProgressState:
		return note{kind: kindState, prompt: p.PromptID}, nil
	case nodebus.Executed:
		return note{kind: kindStep, prompt: p.PromptID}, nil
	case nodebus.ExecutionSuccess:
		return note{kind: kindOutcome, prompt: p.PromptID}, nil
	case nodebus.ExecutionError:
		return note{kind: kindOutcome, prompt: p.PromptID}, nil
	case nodebus.ExecutionInterrupted:
		return note{kind: kindOutcome, prompt: p.PromptID}, nil
	case piece:
		return note{kindNumbered, p.N, p.Prompt}, nil
	case finish:
		return note{kind: kindFinish}, nil
	case nodebus.Custom:
		return noteOfCustom(p)
	}
	return note{}, nil
}

func noteOfCustom(p nodebus.Custom) (n note, err error) {
	switch p.Type {
	case piece{}.EventType():
		var got piece
		err = unmarshal(p.Data, &got)
		return note{kindNumbered, got.N, got.Prompt}, err
	case finish{}.EventType():
		return note{kind: kindFinish}, nil
	case fmt.Sprint(blobType):
		b, isBinary := p.Data.([]byte)
		if !isBinary { // over sse
			var text struct{ Base64 []byte }
			if err := unmarshal(p.Data, &text); err != nil {
				return n, err
			}
			b = text.Base64
		}
		if len(b) >= 12 && binary.BigEndian.Uint32(b) == blobType { // as published
			b = b[4:]
		}
		if len(b) < 8 || uint64(len(b)-8) < uint64(binary.BigEndian.Uint32(b[4:])) {
			return n, fmt.Errorf("a blob of %d bytes", len(b))
		}
		name := b[8:][:binary.BigEndian.Uint32(b[4:])]
		return note{kindNumbered, int(binary.BigEndian.Uint32(b)), string(name)}, nil
	}
	return note{}, nil
}

// load publishes prompts.
type load struct {
	size
	hub     *nodebus.Hub
	clients []string
	stock   map[string]*stockClient
	pause   time.Duration // between two steps of a prompt
	next    atomic.Int64
	enough  func() bool // the lines were bad enough
	failed  atomic.Pointer[error]
}

func promptName(n int) string { return fmt.Sprintf("p%d", n) }

// run publishes all prompts, many at once, and broadcasts in between.
func (l *load) run(ctx context.Context) error {
	var prompts, others sync.WaitGroup
	over := make(chan struct{})
	others.Go(func() { l.broadcast(over) })
	for range l.atOnce {
		prompts.Go(func() {
			for {
				n := int(l.next.Add(1)) - 1
				if n >= l.prompts && l.enough() || ctx.Err() != nil || l.failed.Load() != nil {
					return
				}
				if err := l.prompt(n); err != nil {
					l.failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	prompts.Wait()
	close(over)
	others.Wait()
	if err := l.failed.Load(); err != nil {
		return *err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("only %d of %d prompts were published in time", l.next.Load(), l.prompts)
	}
	return nil
}

func (l *load) broadcast(over chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		case <-time.After(20 * l.pause):
		}
		if err := l.hub.Broadcast(piece{N: n, Pad: "all"}); err != nil {
			l.failed.CompareAndSwap(nil, &err)
			return
		}
	}
}

// stepsOf returns the number of numbered events of a prompt.
func (l *load) stepsOf(n int) int { return 2 + n*7%(2*l.steps) }

// prompt publishes one prompt from its start to its end.
func (l *load) prompt(n int) error {
	id, client := promptName(n), l.clientFor(n)
	rnd := rand.New(rand.NewPCG(l.seed, uint64(n)))
	l.hub.Expect(client, id)
	var errs []error
	send := func(p nodebus.Payload) {
		errs = append(errs, l.hub.Publish(nodebus.Event{PromptID: id, To: client, Payload: p}))
	}
	send(nodebus.ExecutionStart{PromptID: id})
	send(nodebus.ExecutionCached{PromptID: id, Nodes: []string{}})
	for i := range l.stepsOf(n) {
		if i%5 == 0 {
			send(nodebus.Executing{UniqueID: fmt.Sprint(i), DisplayID: fmt.Sprint(i), PromptID: id})
		}
		pad := strings.Repeat("x", padLen(rnd, l.stock[client] != nil))
		if i%2 == 0 {
			send(piece{id, i, pad})
		} else {
			send(blob(id, i, pad))
		}
		send(nodebus.ProgressState{PromptID: id}.With(nodebus.NodeState{Place: nodebus.Place{UniqueID: "1"}, Value: float64(i), Max: 100}))
		if rnd.IntN(4) > 0 {
			time.Sleep(time.Duration(rnd.Int64N(int64(2 * l.pause))))
		}
	}
	switch rnd.IntN(10) {
	case 0:
		send(nodebus.ExecutionError{PromptID: id, ExceptionType: "soak"})
	case 1:
		send(nodebus.ExecutionInterrupted{PromptID: id})
	default:
		send(nodebus.Executed{PromptID: id})
		send(nodebus.ExecutionSuccess{PromptID: id})
	}
	if rnd.IntN(2) == 0 {
		time.Sleep(time.Duration(rnd.Int64N(int64(l.pause))))
	}
	send(nodebus.Executing{PromptID: id})
	return errors.Join(errs...)
}

// padLen returns the length of an event: mostly short, sometimes long, and sometimes about
// as long as the buffers of the transports. A stock client gets no long events: it receives
// a prompt from its start after each fault, and a prompt with several long events would
// not get through a bad line before the log drops it.
func padLen(rnd *rand.Rand, stock bool) int {
	switch n := rnd.IntN(1000); {
	case n < 2 && stock:
		return rnd.IntN(5000)
	case n == 0:
		return rnd.IntN(100_000)
	case n == 1:
		return 64<<10 - 300 + rnd.IntN(400)
	}
	return rnd.IntN(200)
}

// clientFor returns the client that submits prompt n. A stock client submits while it is
// connected, because the hub knows of no other client that it waits for a prompt; and it
// waits for some prompts at a time only, or its replays would grow without a limit.
func (l *load) clientFor(n int) string {
	connected := map[string]bool{}
	for _, s := range l.hub.Sessions() {
		connected[s.Client] = true
	}
	for i := range l.clients {
		id := l.clients[(n+i)%len(l.clients)]
		if c := l.stock[id]; c == nil || connected[id] && c.submits(n) {
			return id
		}
	}
	return l.clients[n%len(l.clients)]
}
