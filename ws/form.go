package ws

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/nodebus/nodebus"
)

const (
	opText   = 0x81 // includes the bit for the final frame
	opBinary = 0x82
	opClose  = 0x88
	opPing   = 0x89
	opPong   = 0x8a
)

// Close codes.
const (
	codeGoingAway = 1001
	codeWrong     = 1002
	codePolicy    = 1008
	codeTooBig    = 1009
	codeTryAgain  = 1013
)

// headerMax is the maximum number of bytes of appendHeader.
const headerMax = 10 + 2 + len(mark) + 20

// appendMessage appends f as one final, unmasked WebSocket frame. Before an outcome, it
// appends a ping that asks for a receipt.
func appendMessage(b []byte, f nodebus.Frame) []byte { return append(appendHeader(b, f), f.Data...) }

// appendHeader appends the bytes that come before the data of f.
func appendHeader(b []byte, f nodebus.Frame) []byte {
	if f.Outcome {
		b = appendPing(b, f.ID)
	}
	op := byte(opText)
	if f.Binary {
		op = opBinary
	}
	switch n := len(f.Data); {
	case n < 126:
		b = append(b, op, byte(n))
	case n < 1<<16:
		b = append(b, op, 126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, op, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// appendClose appends a close frame. It cuts reason to the maximum length.
func appendClose(b []byte, code uint16, reason string) []byte {
	reason = reason[:min(len(reason), 123)]
	b = append(b, opClose, byte(2+len(reason)))
	b = binary.BigEndian.AppendUint16(b, code)
	return append(b, reason...)
}

// mark begins the payload of a ping that asks for a receipt. The payload is ASCII,
// because some libraries fail on other bytes.
const mark = "nb"

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
