package ws

import (
	"encoding/binary"
	"slices"
)

// The client answers a ping with a pong that repeats the payload of the ping. The wire
// form of an outcome begins with a ping that carries the ID of the outcome, so the pong
// is the receipt of the client. The ping comes before the outcome, because some clients
// stop reading at the outcome.

// receiptsMax is the maximum number of outcomes whose pings wait for an answer. An
// answer to a later ping also counts for the earlier outcomes.
const receiptsMax = 256

// receipts holds the outcomes whose pings the client has not answered. The lock of
// netConn guards it.
type receipts struct {
	asked    []uint64 // in the order of sending
	unsent   int      // the number of outcomes at the end of asked that are not sent entirely
	writes   uint64   // Outcomes of the session when expectAll was last needed
	answered uint64   // an answered outcome that is not sent entirely; 0: none
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
// server. It looks at each frame, which takes a tenth of a large write, so tryWrite calls
// it only if wire may hold an outcome.
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

// answer notes the answer to the ping for the outcome id. It returns the outcome to
// confirm, or 0: the connection has not asked for it, or the outcome behind the ping is
// not written entirely, so that the answer counts later.
func (r *receipts) answer(id uint64) (confirm uint64) {
	i := slices.Index(r.asked, id)
	if i < 0 {
		return 0
	}
	unsent := i >= len(r.asked)-r.unsent
	if r.asked = slices.Delete(r.asked, 0, i+1); len(r.asked) == 0 {
		r.asked = nil // most clients are idle
	}
	r.unsent = min(r.unsent, len(r.asked))
	if unsent {
		r.answered = id
		return 0
	}
	return id
}

// written notes that everything is written. It returns the outcome to confirm, or 0.
func (r *receipts) written() (confirm uint64) {
	confirm, r.answered, r.unsent = r.answered, 0, 0
	return confirm
}

// sent returns the newest outcome without an answer that is written entirely, or 0.
func (r *receipts) sent() uint64 {
	if n := len(r.asked) - r.unsent; n > 0 {
		return r.asked[n-1]
	}
	return 0
}
