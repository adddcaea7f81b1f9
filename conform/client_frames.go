package conform

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The kinds of WebSocket frames, see RFC 6455, section 5.2.
const (
	opMore   = 0x0
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

// acceptKey returns the answer to the key of a handshake, see RFC 6455, section 4.2.2.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// appendWSFrame appends a frame of a server. last says that the message ends with it.
func appendWSFrame(dst []byte, last bool, op byte, payload []byte) []byte {
	if last {
		op |= 0x80
	}
	dst = append(dst, op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// clientFrameMax limits the frames of a client, in bytes.
const clientFrameMax = 1 << 20

// errProtocol is the reason of errors that are faults of the client, and not of the line.
var errProtocol = errors.New("the client breaks RFC 6455")

// readWSFrame reads a frame of a client.
func readWSFrame(r io.Reader) (last bool, op byte, payload []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(r, head[:2]); err != nil {
		return false, 0, nil, err
	}
	last, op = head[0]&0x80 != 0, head[0]&0xf
	masked, size := head[1]&0x80 != 0, uint64(head[1]&0x7f)
	control := op >= opClose
	switch {
	case head[0]&0x70 != 0:
		return last, op, nil, fmt.Errorf("%w: a frame has the bits %#x, and nothing was negotiated", errProtocol, head[0]&0x70)
	case !masked:
		return last, op, nil, fmt.Errorf("%w: a frame has no mask", errProtocol)
	case control && (!last || size > 125):
		return last, op, nil, fmt.Errorf("%w: a control frame is long, or in pieces", errProtocol)
	case op > opBinary && op < opClose, op > opPong:
		return last, op, nil, fmt.Errorf("%w: a frame has the kind %#x", errProtocol, op)
	case size == 126:
		_, err = io.ReadFull(r, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:2]))
	case size == 127:
		_, err = io.ReadFull(r, head[:8])
		size = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil {
		return last, op, nil, err
	}
	if size > clientFrameMax {
		return last, op, nil, fmt.Errorf("%w: a frame has %d bytes", errProtocol, size)
	}
	var mask [4]byte
	if _, err = io.ReadFull(r, mask[:]); err != nil {
		return last, op, nil, err
	}
	payload = make([]byte, size)
	if _, err = io.ReadFull(r, payload); err != nil {
		return last, op, nil, err
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return last, op, payload, nil
}

// u32 returns numbers as the binary frames of nodebus have them.
func u32(numbers ...int) (b []byte) {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// sized returns a text with its length before it.
func sized(text string) []byte { return append(u32(len(text)), text...) }
