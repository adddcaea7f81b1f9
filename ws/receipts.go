package ws

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
)

// The client answers a ping with a pong that repeats the payload of the ping. The wire
// form of an outcome begins with a ping that carries the ID of the outcome, so the pong
// is the receipt of the client. The ping comes before the outcome, because some clients
// stop reading at the outcome.

// mark begins the payload of a ping that asks for a receipt. The payload is ASCII,
// because some libraries fail on other bytes.
const mark = "nb"

// receiptsMax is the maximum number of outcomes whose pings wait for an answer. An
// answer to a later ping also counts for the earlier outcomes.
const receiptsMax = 256

// appendPing appends a ping that asks for a receipt for the outcome id, or a ping
// without a payload if id is 0.
func appendPing(b []byte, id uint64) []byte {
	b = append(b, opPing, 0)
	if id == 0 {
		return b
	}
	at := len(b)
	b = strconv.AppendUint(append(b, mark...), id, 10)
	b[at-1] = byte(len(b) - at)
	return b
}

// markedID returns the ID in the payload of a ping or pong, or 0 if there is none.
func markedID(payload []byte) uint64 {
	digits, ok := bytes.CutPrefix(payload, []byte(mark))
	if !ok {
		return 0
	}
	id, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || len(digits) > 0 && (digits[0] == '+' || digits[0] == '0') {
		return 0
	}
	return id
}

// receipts holds the outcomes whose pings the client has not answered. The lock of
// netConn guards it.
type receipts struct {
	asked    []uint64 // in the order of sending
	unsent   int      // the number of outcomes at the end of asked that are not sent entirely
	answered uint64   // an answered outcome that is not sent entirely; 0: none
}

// session is a [nodebus.Session].
type session interface {
	Confirm(id uint64)
	ConfirmWritten()
	Receive(data []byte) (handled bool)
}

// expect notes that the ping for the outcome id will be written.
func (r *receipts) expect(id uint64) {
	if len(r.asked) == receiptsMax {
		r.asked = slices.Delete(r.asked, 0, receiptsMax/2)
		r.unsent = min(r.unsent, len(r.asked))
	}
	r.asked = append(r.asked, id)
	r.unsent++
}

// expectAll calls expect for each outcome in wire, which holds whole frames of the
// server.
func (r *receipts) expectAll(wire []byte) {
	for len(wire) > 2 {
		head, n := 2, int(wire[1])
		switch n {
		case 126:
			head, n = 4, int(binary.BigEndian.Uint16(wire[2:]))
		case 127:
			head, n = 10, int(binary.BigEndian.Uint64(wire[2:]))
		}
		if wire[0] == opPing {
			r.expect(markedID(wire[head : head+n]))
		}
		wire = wire[head+n:]
	}
}

// newest returns the newest outcome that waits for a receipt, or 0.
func (r *receipts) newest() uint64 {
	if len(r.asked) == 0 {
		return 0
	}
	return r.asked[len(r.asked)-1]
}

// pong handles the payload of a pong. Only the answer to a ping of this connection is a
// receipt. If the outcome behind the ping is not written entirely, the receipt counts
// later.
func (c *netConn) pong(payload []byte) {
	id := markedID(payload)
	c.mu.Lock()
	i := slices.Index(c.asked, id)
	unsent := i >= len(c.asked)-c.unsent
	if i >= 0 {
		c.asked = slices.Delete(c.asked, 0, i+1)
		c.unsent = min(c.unsent, len(c.asked))
	}
	if len(c.asked) == 0 {
		c.asked = nil // most clients are idle
	}
	if i >= 0 && unsent {
		c.answered = id
	}
	c.mu.Unlock()
	if i >= 0 && !unsent {
		c.confirm(id)
	}
}

// confirmAnswered confirms the outcome that was answered before it was written entirely.
// Everything is written now.
func (c *netConn) confirmAnswered() {
	c.mu.Lock()
	id := uint64(0)
	if len(c.rest) == 0 && !c.writing {
		id, c.answered, c.unsent = c.answered, 0, 0
	}
	c.mu.Unlock()
	c.confirm(id)
}

func (c *netConn) confirm(id uint64) {
	if id != 0 && c.session != nil {
		c.session.Confirm(id)
	}
}

// left handles a close frame that the client sends first: the client says by this that
// it has everything that was sent. left returns false if the server has closed first,
// because the answer to the server's close frame says nothing.
func (c *netConn) left() bool {
	if c.closeBy.Load() != 0 {
		return false
	}
	c.mu.Lock()
	all := len(c.rest) == 0 && !c.writing && c.err == nil
	id := uint64(0)
	if n := len(c.asked) - c.unsent; n > 0 {
		id = c.asked[n-1]
	}
	c.mu.Unlock()
	if all && c.session != nil {
		c.session.ConfirmWritten()
	} else {
		c.confirm(id)
	}
	return true
}
