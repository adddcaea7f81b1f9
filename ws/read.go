package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/internal/intake"
)

// inBuffer is the size of the buffer for what the client sends. It holds the longest
// control frame with its header, 131 bytes. It is small, because most clients send only
// control frames; a longer payload is read without the buffer.
const inBuffer = 144

// incoming holds the bytes that were read from the connection and not yet used. One
// goroutine at a time uses it.
type incoming struct {
	net    *netConn
	early  []byte // sent by the client before the answer to the handshake
	buf    [inBuffer]byte
	at, to int // the unused bytes are buf[at:to]

	open  bool // a message has begun
	timed bool // the connection has a deadline for the rest of a frame or of a message
	got   int  // bytes of the message since the deadline was set
}

// header is the header of a frame from the client.
type header struct {
	op   byte // with the bit for the final frame
	size int64
	mask [4]byte
}

const finalBit = 0x80

func (h *header) final() bool   { return h.op&finalBit != 0 }
func (h *header) control() bool { return h.op&0x08 != 0 }

// protocolError is a mistake of the client. It ends the connection with a close code.
type protocolError struct {
	code uint16
	text string
}

func (e *protocolError) Error() string { return "ws: the client " + e.text }

func violation(text string) error { return &protocolError{codeWrong, text} }

// message reads the next message. A message of more than keep bytes is read, and its
// data is nil. Control frames between and in messages are handled.
func (in *incoming) message(keep int64) (data []byte, binary bool, err error) {
	var total int64
	defer in.finish()
	for first := true; ; {
		h, err := in.header()
		if err == nil && h.control() {
			err = in.controlFrame(&h)
		}
		if err != nil {
			return nil, false, unexpected(err, !first)
		}
		if h.control() {
			if first {
				in.finish()
			}
			continue
		}
		in.open = true
		switch op := h.op &^ finalBit; {
		case first && op == 0:
			return nil, false, violation("continued a message that did not begin")
		case !first && op != 0:
			return nil, false, violation("began a message before the end of another message")
		case first:
			binary, first, data = op == opBinary&^finalBit, false, []byte{}
		}
		if total += h.size; total > in.net.opts.ReadLimit || total < 0 {
			return nil, false, &protocolError{codeTooBig, fmt.Sprintf("sent a message of more than %d bytes", in.net.opts.ReadLimit)}
		}
		if total > keep {
			data, err = nil, in.discard(h.size)
		} else {
			data, err = in.payload(data, &h)
		}
		if err != nil || h.final() {
			return data, binary, unexpected(err, true)
		}
	}
}

// unexpected replaces io.EOF in a message by io.ErrUnexpectedEOF. A message that is not
// whole must not be taken for a whole message.
func unexpected(err error, within bool) error {
	if within && err == io.EOF { //nolint:errorlint // only the bare io.EOF means the end of the stream
		return io.ErrUnexpectedEOF
	}
	return err
}

// header reads the header of the next frame.
func (in *incoming) header() (h header, err error) {
	b, err := in.need(2, false)
	if err != nil {
		return h, err
	}
	h.op, h.size = b[0], int64(b[1]&0x7f)
	masked := b[1]&0x80 != 0
	in.at += 2
	more := 0
	switch {
	case h.op&0x70 != 0:
		return h, violation("used a bit that an extension must define; the server has no extensions")
	case !masked:
		return h, violation("sent a frame without a mask")
	case h.control() && (!h.final() || h.size > 125):
		return h, violation("sent a control frame in fragments or of more than 125 bytes")
	case h.op&0x0f > 0x0a || h.op&0x07 > 2:
		return h, violation(fmt.Sprintf("sent a frame with the unknown opcode %d", h.op&0x0f))
	case h.size == 126:
		more = 2
	case h.size == 127:
		more = 8
	}
	if b, err = in.need(more+4, true); err != nil {
		return h, err
	}
	switch more {
	case 2:
		h.size = int64(binary.BigEndian.Uint16(b))
	case 8:
		h.size = int64(binary.BigEndian.Uint64(b))
	}
	copy(h.mask[:], b[more:])
	if in.at += more + 4; h.size < 0 {
		return h, violation("sent a frame of an impossible size")
	}
	return h, nil
}

// need returns the next n bytes, which stay in the buffer. n is at most inBuffer.
// within means that the bytes belong to a frame that has begun.
func (in *incoming) need(n int, within bool) ([]byte, error) {
	for in.to-in.at < n {
		if in.at > 0 {
			in.to = copy(in.buf[:], in.buf[in.at:in.to])
			in.at = 0
		}
		m, err := in.fetch(in.buf[in.to:], within || in.open || in.to > 0)
		if in.to += m; m == 0 && err != nil {
			return nil, unexpected(err, within || in.to > 0)
		}
	}
	return in.buf[in.at : in.at+n], nil
}

// fetch reads from the connection. within means that a frame or a message has begun.
func (in *incoming) fetch(p []byte, within bool) (n int, err error) {
	if len(in.early) > 0 {
		n = copy(p, in.early)
		if in.early = in.early[n:]; len(in.early) == 0 {
			in.early = nil
		}
	} else {
		if within {
			in.begin()
		}
		n, err = in.net.Conn.Read(p)
	}
	if n > 0 {
		in.net.hear()
	}
	if in.timed && errors.Is(err, os.ErrDeadlineExceeded) && in.net.closeBy.Load() == 0 {
		err = &protocolError{codePolicy, fmt.Sprintf("sent a message too slowly (less than 16 KiB in %v)", in.net.opts.ReadTimeout)}
	}
	return n, err
}

// begin sets the deadline for the next piece of a frame or a message that has begun. Pings
// and frames without content do not put it off.
func (in *incoming) begin() {
	if !in.timed || in.got >= intake.Piece {
		in.timed, in.got = true, 0
		in.net.expectBy(time.Now().Add(in.net.opts.ReadTimeout))
	}
}

// finish removes the deadline: the client may be silent now.
func (in *incoming) finish() {
	in.open = false
	if in.timed {
		in.timed = false
		in.net.expectBy(time.Time{})
	}
}

// firstRead limits the memory for a message whose header has arrived and whose payload
// has not. The memory for a longer message grows with what arrives.
const firstRead = 4 << 10

// payload appends the payload of a frame to data.
func (in *incoming) payload(data []byte, h *header) ([]byte, error) {
	begin := len(data)
	for left := h.size; left > 0; {
		n := int(min(left, int64(max(firstRead, len(data)))))
		data = slices.Grow(data, n)[:len(data)+n]
		if err := in.readFull(data[len(data)-n:]); err != nil {
			return nil, err
		}
		left -= int64(n)
	}
	unmask(data[begin:], h.mask)
	return data, nil
}

func (in *incoming) readFull(p []byte) error {
	n := copy(p, in.buf[in.at:in.to])
	in.at += n
	in.got += n
	for n < len(p) {
		m, err := in.fetch(p[n:], true)
		in.got += m
		if n += m; m == 0 && err != nil {
			return unexpected(err, true)
		}
	}
	return nil
}

// discard reads n bytes and drops them.
func (in *incoming) discard(n int64) error {
	m := min(n, int64(in.to-in.at))
	in.at += int(m)
	n -= m
	if n == 0 {
		return nil
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for n > 0 {
		p := (*buf)[:min(n, int64(cap(*buf)))]
		if err := in.readFull(p); err != nil {
			return err
		}
		n -= int64(len(p))
	}
	return nil
}

// unmask removes the mask of a client from p.
func unmask(p []byte, mask [4]byte) {
	var twice [8]byte
	copy(twice[:4], mask[:])
	copy(twice[4:], mask[:])
	key := binary.LittleEndian.Uint64(twice[:])
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^key)
	}
	for i := range p {
		p[i] ^= mask[i&3]
	}
}

// controlFrame reads the payload of a control frame and handles the frame. It returns
// an error after a close frame.
func (in *incoming) controlFrame(h *header) error {
	b, err := in.need(int(h.size), true)
	if err != nil {
		return err
	}
	in.at += len(b)
	unmask(b, h.mask)
	switch h.op {
	case opPing:
		return in.net.post(append([]byte{opPong, byte(len(b))}, b...))
	case opPong:
		in.net.pong(b)
		return nil
	}
	return in.closed(b)
}

// closed handles a close frame of the client. It returns the reason of the client.
func (in *incoming) closed(b []byte) error {
	e := websocket.CloseError{Code: websocket.StatusNoStatusRcvd}
	if len(b) > 0 {
		if len(b) == 1 {
			return violation("sent a close frame with half a code")
		}
		code := binary.BigEndian.Uint16(b)
		if code < 1000 || code >= 5000 || code >= 1004 && code <= 1006 || code >= 1015 && code < 3000 {
			return violation(fmt.Sprintf("sent a close frame with the impossible code %d", code))
		}
		e.Code, e.Reason = websocket.StatusCode(code), string(b[2:])
	}
	if in.net.left() {
		in.net.sendClose(append([]byte{opClose, byte(len(b))}, b...), closeWait)
	}
	return fmt.Errorf("received close frame: %w", e)
}

// refuse tells the client about its mistake and waits until the client is gone, because
// a connection that is closed too early would lose the close frame.
func (in *incoming) refuse(err error) {
	var wrong *protocolError
	if !errors.As(err, &wrong) {
		return
	}
	in.net.sendClose(appendClose(nil, wrong.code, wrong.Error()), closeWait)
	for failed := error(nil); failed == nil; {
		_, failed = in.net.Conn.Read(in.buf[:])
	}
}
