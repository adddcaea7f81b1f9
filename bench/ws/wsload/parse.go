//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// frames handles the complete frames at the start of b and returns the rest.
func (l *load) frames(c *client, b []byte, now int64) []byte {
	for len(b) >= 2 {
		op, n, head := b[0]&15, int(b[1]&127), 2
		switch n {
		case 126:
			if len(b) < 4 {
				return b
			}
			n, head = int(b[2])<<8|int(b[3]), 4
		case 127:
			if len(b) < 10 {
				return b
			}
			n, head = 0, 10
			for _, x := range b[2:10] {
				n = n<<8 | int(x)
			}
		}
		if len(b) < head+n {
			return b
		}
		if op == 1 {
			l.payload(c, b[head:head+n], now)
		}
		b = b[head+n:]
	}
	return b
}

// payload handles the payload of a text frame.
func (l *load) payload(c *client, b []byte, now int64) {
	if !l.wire.Lines {
		l.message(c, b, now)
		return
	}
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if len(line) > 0 {
			l.message(c, line, now)
		}
	}
}

// chunks handles the complete chunks of HTTP at the start of b and returns the rest.
func (l *load) chunks(c *client, b []byte, now int64) ([]byte, error) {
	for {
		line, rest, ok := bytes.Cut(b, []byte("\r\n"))
		if !ok {
			return b, nil
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return nil, fmt.Errorf("size of a chunk: %w", err)
		}
		n := int(size)
		if len(rest) < n+2 {
			return b, nil
		}
		c.text = l.stream(c, rest[:n], now)
		b = rest[n+2:]
	}
}

// stream handles the complete events in c.text and data. It returns the incomplete event at
// the end.
func (l *load) stream(c *client, data []byte, now int64) []byte {
	kept := c.text
	if len(kept) > 0 {
		kept = append(kept, data...)
		data = kept
	}
	for {
		event, rest, ok := bytes.Cut(data, []byte("\n\n"))
		if !ok {
			return append(kept[:0], data...)
		}
		if bytes.HasPrefix(event, []byte("data:")) || bytes.Contains(event, []byte("\ndata:")) {
			l.message(c, event, now)
		}
		data = rest
	}
}
