package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/nowait"
)

// direct is the response to a client of HTTP/1.1 without TLS. It writes to the
// connection itself: a small write with net/http costs twice as much, and needs a
// goroutine for each, because net/http cannot write without waiting.
type direct struct {
	net      net.Conn
	socket   *nowait.Writer // nil if the connection cannot write without waiting
	opts     *Options
	previews *previews
	hangUp   func(cause error)

	closed atomic.Bool
	rest   []byte // what TryWrite could not send; used only by TryWrite and Write

	lock   lock // held while something is written
	last   time.Time
	ping   *time.Timer
	broken bool // the newest write ended in the middle of a block
}

// takeOver takes the connection from the server. It returns nil if that is not possible,
// for example for HTTP/2; nothing has changed then.
func takeOver(c *conn, r *http.Request) *direct {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.TLS != nil {
		return nil
	}
	n, _, err := c.control.Hijack()
	if err != nil {
		return nil
	}
	_ = n.SetDeadline(time.Time{}) // the timeouts of the server
	return &direct{net: n, socket: nowait.Of(n), opts: c.opts, previews: c.previews, lock: make(lock, 1)}
}

// begin sends the headers and the first line, and starts the comments. It calls hangUp
// if the client cannot be written to.
func (d *direct) begin(hangUp func(cause error), h http.Header) {
	d.hangUp = hangUp
	h = h.Clone()
	h.Del("Content-Length")
	h.Del("Content-Encoding") // a handler around this one does not see what is written
	h.Set("Transfer-Encoding", "chunked")
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	head := headBuffer("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&head) // writes to memory
	head = append(head, "\r\n"...)
	d.lock.take()
	defer d.lock.free()
	if err := d.writeAll(endChunk(append(head, chunkHead...), len(head), d.opts.firstLine())); err != nil {
		hangUp(err)
		return
	}
	if d.opts.PingInterval > 0 {
		d.ping = time.AfterFunc(d.opts.PingInterval, d.tick)
	}
}

type headBuffer []byte

func (b *headBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// finish stops the comments.
func (d *direct) finish() {
	d.lock.take()
	defer d.lock.free()
	if d.ping != nil {
		d.ping.Stop()
	}
}

// tick sends a comment if the stream was silent for an interval.
func (d *direct) tick() {
	d.lock.take()
	defer d.lock.free()
	if d.closed.Load() {
		return
	}
	left := d.opts.PingInterval - time.Since(d.last)
	if left <= 0 {
		if !d.broken { // otherwise Write is about to send the rest of the block
			if err := d.writeAll([]byte("3\r\n:\n\n\r\n")); err != nil {
				d.hangUp(err)
				return
			}
		}
		left = d.opts.PingInterval
	}
	d.ping.Reset(left)
}

// chunkHead is the place for the size of a chunk, with leading zeros.
const chunkHead = "00000000\r\n"

// endChunk appends the content of the chunk that begins at a place in dst, and writes
// the size of the chunk.
func endChunk(dst []byte, at int, content []byte) []byte {
	return sizeChunk(append(dst, content...), at)
}

func sizeChunk(dst []byte, at int) []byte {
	const hex = "0123456789abcdef"
	size := len(dst) - at - len(chunkHead)
	for i := at + 7; size > 0; i-- {
		dst[i] = hex[size&15]
		size >>= 4
	}
	return append(dst, "\r\n"...)
}

// AppendFrame appends the lines of a frame as a chunk, and the image of a preview. If dst
// then holds an image, its first byte is imageMark instead of the first digit of a size, so
// that TryWrite need not search each write for images.
func (*direct) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	at := len(dst)
	dst = appendBlock(append(dst, chunkHead...), f)
	i := -1
	if f.Binary {
		i = bytes.IndexByte(dst[at:], imageMark)
	}
	if i < 0 {
		return sizeChunk(dst, at)
	}
	image := bytes.Clone(dst[at+i:])
	dst = append(sizeChunk(dst[:at+i], at), image...)
	dst[0] = imageMark
	return dst
}

// takeImages appends the chunks in wire to dst, and stores the images in wire.
func (d *direct) takeImages(dst, wire []byte) []byte {
	if wire[0] != imageMark {
		return append(dst, wire...)
	}
	return d.previews.takeImages(append(dst, chunkHead[0]), wire[1:])
}

// TryWrite sends what the connection accepts at once.
func (d *direct) TryWrite(wire []byte) (all bool, err error) {
	if d.socket == nil {
		return false, errors.ErrUnsupported
	}
	if d.closed.Load() {
		return false, errEnded
	}
	if wire[0] == imageMark {
		wire = d.takeImages(nil, wire)
	}
	n := 0
	if len(d.rest) == 0 && d.lock.try() { // otherwise a comment waits for the client
		n, err = d.socket.Write(wire)
		d.last, d.broken = time.Now(), n < len(wire)
		d.lock.free()
	}
	if err != nil {
		return false, fmt.Errorf("sse: the client is gone: %w", err)
	}
	if n < len(wire) {
		d.rest = append(d.rest, wire[n:]...)
		return false, nil
	}
	return true, nil
}

// Write sends the rest of TryWrite, and the frames.
func (d *direct) Write(_ context.Context, frames []nodebus.Frame) error {
	d.lock.take()
	defer d.lock.free()
	rest := d.rest
	d.rest = nil
	if len(rest) > 0 {
		if err := d.writeAll(rest); err != nil {
			return err
		}
	}
	if len(frames) == 0 {
		return nil
	}
	buf := takeBuffer()
	defer giveBack(buf)
	for _, f := range frames {
		if len(*buf) >= pieceSize {
			if err := d.writeAll(*buf); err != nil {
				return err
			}
			*buf = (*buf)[:0]
		}
		if f.Binary {
			*buf = d.takeImages(*buf, d.AppendFrame(nil, f))
		} else {
			*buf = d.AppendFrame(*buf, f)
		}
	}
	return d.writeAll(*buf)
}

// writeAll writes b. The client must take something within each WriteTimeout. d.lock is
// held.
func (d *direct) writeAll(b []byte) error {
	d.broken = true
	for len(b) > 0 {
		d.last = time.Now()
		if err := d.net.SetWriteDeadline(d.last.Add(d.opts.WriteTimeout)); err != nil {
			return fmt.Errorf("sse: the client is gone: %w", err)
		}
		if d.closed.Load() {
			return errEnded
		}
		n, err := d.net.Write(b)
		b = b[n:]
		switch {
		case err == nil || n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		case d.closed.Load():
			return errEnded
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("sse: the client took nothing in %v: %w", d.opts.WriteTimeout, nodebus.ErrSlow)
		default:
			return fmt.Errorf("sse: the client is gone: %w", err)
		}
	}
	d.broken = false
	return d.net.SetWriteDeadline(time.Time{}) // TryWrite would fail after it
}

// ReadLoop waits until the client is gone. What the client sends is ignored.
func (d *direct) ReadLoop(context.Context) error {
	var b [64]byte
	for {
		if _, err := d.net.Read(b[:]); err != nil {
			return fmt.Errorf("sse: the client is gone: %w", err)
		}
	}
}

// Close ends the stream. If nothing is being written, it first sends a comment that says
// why, and the last chunk.
func (d *direct) Close(cause error) error {
	d.closed.Store(true)
	if d.lock.try() {
		defer d.lock.free()
		if reason := goodbye(cause); !d.broken {
			b := []byte(nil)
			if reason != "" {
				b = endChunk([]byte(chunkHead), 0, []byte(reason))
			}
			_ = d.net.SetWriteDeadline(time.Now().Add(closeWait))
			_, _ = d.net.Write(append(b, "0\r\n\r\n"...))
		}
	}
	return d.net.Close()
}
