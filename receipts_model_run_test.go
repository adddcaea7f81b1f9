package nodebus_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// receiptCase holds a hub and its model. The test does the same with both.
type receiptCase struct {
	t     *testing.T
	rnd   *rand.Rand
	h     *nodebus.Hub
	m     *receiptModel
	n     int
	joins []*receiptLine
	trace []string
}

// receiptLine is a connection of the hub and of the model.
type receiptLine struct {
	model *receiptSession
	s     *nodebus.Session
	tape  *tape
}

// TestReceiptsAgainstModel compares what clients without a cursor are sent with the model,
// for random actions: prompts, receipts, stalls, broken lines, and several connections of
// one client. The name of a subtest is its seed.
func TestReceiptsAgainstModel(t *testing.T) {
	cases := 1000
	if *long {
		cases = 20_000
	}
	for seed := range cases {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { runReceiptCase(t, uint64(seed)) })
		})
	}
}

func runReceiptCase(t *testing.T, seed uint64) {
	c := &receiptCase{t: t, rnd: rand.New(rand.NewPCG(seed, 43))}
	c.m = &receiptModel{expected: map[string]bool{}}
	c.h = openHub(t, &nodebus.HubOptions{Retain: time.Hour})
	for range 80 {
		c.step()
	}
	for len(c.joins) > 0 {
		c.leave(c.joins[0])
	}
	for _, client := range []string{"alice", "bob"} { // what is owed now
		c.join(client, true, false, false)
	}
	for len(c.joins) > 0 {
		c.leave(c.joins[0])
	}
}

func (c *receiptCase) note(format string, args ...any) {
	c.trace = append(c.trace, fmt.Sprintf(format, args...))
}

func (c *receiptCase) step() {
	client := []string{"alice", "bob"}[c.rnd.IntN(2)]
	var line *receiptLine
	if len(c.joins) > 0 {
		line = c.joins[c.rnd.IntN(len(c.joins))]
	}
	switch n := c.rnd.IntN(100); {
	case n < 45:
		c.publish(strconv.Itoa(c.rnd.IntN(4)))
	case n < 50:
		prompt := strconv.Itoa(c.rnd.IntN(4))
		client := ownerOf(prompt)
		c.note("%s expects %s", client, prompt)
		c.h.Expect(client, prompt)
		c.m.expect(client, prompt)
	case n < 62 && len(c.joins) < 5:
		kind := c.rnd.IntN(8)
		c.join(client, kind > 1, kind == 0, c.rnd.IntN(4) == 0)
	case n < 70:
		d := time.Duration(1+c.rnd.IntN(3)) * time.Second
		c.note("%v later", d)
		c.sleep(d)
	case line == nil:
	case n < 82:
		c.confirm(line)
	case n < 85:
		c.note("%s closes its connection %s", line.model.client, line.s.Name())
		line.s.ConfirmWritten()
		c.m.confirmWritten(line.model)
		c.leave(line)
	case n < 92:
		c.leave(line)
	case line.model.paused:
		c.note("%s reads %s again", line.model.client, line.s.Name())
		line.model.paused = false
		c.m.flow(line.model)
		line.tape.play()
	default:
		c.note("%s stops reading %s", line.model.client, line.s.Name())
		line.model.paused = true
		line.tape.stop()
	}
	synctest.Wait()
}

func (c *receiptCase) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	c.m.now += d
}

// confirm answers for an outcome that the client has seen.
func (c *receiptCase) confirm(line *receiptLine) {
	id := uint64(0)
	for _, e := range line.model.seen {
		if e.outcome && (id == 0 || c.rnd.IntN(4) > 0) {
			id = e.id
		}
	}
	if id == 0 {
		return
	}
	c.note("%s confirms %d on %s", line.model.client, id, line.s.Name())
	line.s.Confirm(id)
	c.m.confirm(line.model, id)
}

// ownerOf returns the client that submits a prompt.
func ownerOf(prompt string) string {
	if prompt < "3" {
		return "alice"
	}
	return "bob"
}

// publish publishes what a prompt may say next.
func (c *receiptCase) publish(prompt string) {
	c.n++
	p := c.m.current(prompt)
	var payload nodebus.Payload = word(fmt.Sprint("w", c.n))
	text, outcome, closing := fmt.Sprint("w", c.n), false, false
	end := func() {
		outcome = true
		switch c.rnd.IntN(3) {
		case 0:
			payload, text = nodebus.ExecutionSuccess{PromptID: prompt}, "execution_success"
		case 1:
			payload, text = nodebus.ExecutionError{PromptID: prompt}, "execution_error"
		default:
			payload, text = nodebus.ExecutionInterrupted{PromptID: prompt}, "execution_interrupted"
		}
	}
	switch {
	case p == nil || p.over:
		if c.rnd.IntN(8) == 0 { // interrupted before it began
			end()
			break
		}
		payload, text = nodebus.ExecutionStart{PromptID: prompt}, "execution_start"
	case p.outcome == 0:
		if c.rnd.IntN(3) == 0 {
			end()
		}
	default:
		payload, text, closing = nodebus.Executing{PromptID: prompt}, "executing", true
	}
	c.note("publish %d %s of %s", c.m.last+1, text, prompt)
	require.NoError(c.t, c.h.Publish(nodebus.Event{PromptID: prompt, To: ownerOf(prompt), Payload: payload}))
	synctest.Wait()
	c.m.publish(prompt, ownerOf(prompt), text, outcome, closing)
}

// join connects a client. It checks how long Join waits for receipts on other connections.
func (c *receiptCase) join(client string, confirms, cursor, paused bool) {
	s := &receiptSession{client: client, confirms: confirms && !cursor, paused: paused}
	opts := &nodebus.SessionOptions{Confirms: confirms}
	if cursor {
		opts.Codec = nodebus.JSONCodec{Envelope: true}
		opts.Since = at(c.h, c.m.last)
	}
	line := &receiptLine{model: s, tape: newPausedTape()}
	if !paused {
		line.tape.play()
	}
	begin := time.Now()
	surely, perhaps := c.m.owed(client)
	line.s = c.h.Join(client, opts)
	c.note("%s joins as %s, confirms %t, cursor %t, paused %t, after %v", client, line.s.Name(), confirms, cursor, paused, time.Since(begin))
	waited := time.Since(begin)
	if waited == 0 {
		c.require(!s.confirms || !surely, "Join has not waited for a receipt")
	} else {
		c.require(s.confirms && perhaps && waited == receiptWait, "Join has waited %v", waited)
	}
	c.m.now += waited
	serveOn(c.t, line.s, asTransport(line.tape, c.rnd.IntN(2) == 0))
	synctest.Wait()
	c.m.join(s, cursor)
	c.joins = append(c.joins, line)
}

// leave breaks a connection.
func (c *receiptCase) leave(line *receiptLine) {
	c.note("%s leaves", line.s.Name())
	line.s.Close(nil)
	synctest.Wait()
	c.m.leave(line.model)
	c.joins = slices.DeleteFunc(c.joins, func(o *receiptLine) bool { return o == line })
	var got []string
	for _, f := range line.tape.frames {
		got = append(got, fmt.Sprint(f.ID, " ", spell(c.t, f)))
	}
	c.require(slices.Equal(line.model.got, got), "%s: due:\n%q\ngot:\n%q", line.s.Name(), line.model.got, got)
}

func (c *receiptCase) require(ok bool, format string, args ...any) {
	c.t.Helper()
	if !ok {
		c.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(c.trace, "\n"))
	}
}
