package soak_test

import (
	"bytes"
	"encoding/binary"
)

// receiptWindow follows the frames of a WebSocket. within is true from the first byte of
// a ping that asks for a receipt to the last byte of the frame after it. A ping that asks
// again, and a ping that asks for nothing, end their window themselves.
type receiptWindow struct {
	within bool
	begun  bool   // the handshake is over
	plain  bool   // no WebSocket
	head   []byte // of the frame
	left   int    // bytes of the frame
	ping   bool   // the frame is a ping
	asks   []byte // the payload of the ping
	asked  string // the payload of the ping before it
}

// feed reads the first bytes of p, and returns how many. Afterwards within says whether
// the line must be held while these bytes are passed on; it is true for the last byte of
// the window only if more of the window follows.
func (r *receiptWindow) feed(p []byte) int {
	if r.plain {
		return len(p)
	}
	for i, c := range p {
		switch {
		case !r.begun:
			if r.head = append(r.head, c); bytes.HasSuffix(r.head, []byte("\r\n\r\n")) {
				r.begun, r.plain = true, !bytes.Contains(r.head, []byte(" 101 "))
				r.head = r.head[:0]
				return i + 1
			}
		case r.left > 0:
			if r.ping {
				r.asks = append(r.asks, c)
			}
			if r.left--; r.left == 0 && r.frameEnds() {
				return i + 1
			}
		default:
			if len(r.head) == 0 && c == 0x89 && !r.within {
				if i > 0 {
					return i // what comes before the ping
				}
				r.within = true
			}
			r.header(c)
			if len(r.head) == 0 && r.left == 0 && r.frameEnds() {
				return i + 1
			}
		}
	}
	return len(p)
}

// header reads a byte of a header.
func (r *receiptWindow) header(c byte) {
	r.head = append(r.head, c)
	if len(r.head) < 2 {
		return
	}
	r.ping = r.head[0] == 0x89
	switch size := r.head[1]; {
	case size < 126:
		r.left = int(size)
	case size == 126 && len(r.head) == 4:
		r.left = int(binary.BigEndian.Uint16(r.head[2:]))
	case size == 127 && len(r.head) == 10:
		r.left = int(binary.BigEndian.Uint64(r.head[2:]))
	default:
		return
	}
	r.head = r.head[:0]
}

// frameEnds reports whether the window ends with the frame.
func (r *receiptWindow) frameEnds() bool {
	if !r.within {
		return false
	}
	if r.ping {
		asks := string(r.asks)
		again := asks == "" || asks == r.asked
		if r.asks, r.ping = r.asks[:0], false; !again {
			r.asked = asks
			return false
		}
	}
	r.within = false
	return true
}
