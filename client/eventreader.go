package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// eventReader reads a stream of events by the rules of the HTML standard. It ignores all
// fields but data: a nodebus server sends the rest in the envelope.
type eventReader struct {
	lines *bufio.Scanner
	limit int64
	cr    bool // the line before ended with a carriage return
	first bool // no line was read yet
	seen  int  // bytes of the buffer without a line end
}

// lineMore is how much longer than its data a line may be, for its name.
const lineMore = 64

func newEventReader(r io.Reader, limit int64) *eventReader {
	if limit < 0 || limit > math.MaxInt-lineMore {
		limit = math.MaxInt - lineMore
	}
	e := &eventReader{lines: bufio.NewScanner(r), limit: limit, first: true}
	e.lines.Buffer(nil, int(limit)+lineMore)
	e.lines.Split(e.line)
	return e
}

// next returns the data of the next event that has data.
func (e *eventReader) next() (data []byte, err error) {
	for e.lines.Scan() {
		line := e.lines.Bytes()
		if e.first {
			e.first = false
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			if data != nil {
				return data[:len(data)-1], nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		if int64(len(data)+len(value)) > e.limit {
			return nil, fmt.Errorf("an event has more than %d bytes, see Options.ReadLimit", e.limit)
		}
		data = append(append(data, value...), '\n')
	}
	if err := e.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("an event has more than %d bytes, see Options.ReadLimit", e.limit)
	} else if err != nil {
		return nil, err
	}
	return nil, io.EOF // the standard drops an event that is not complete
}

// line is a [bufio.SplitFunc] for lines that end with a line feed, a carriage return or
// both. It does not wait for the line feed after a carriage return.
func (e *eventReader) line(data []byte, _ bool) (advance int, token []byte, err error) {
	start := 0
	if e.cr && len(data) > 0 {
		e.cr = false
		if data[0] == '\n' {
			start = 1
		}
	}
	from := max(start, e.seen)
	i := bytes.IndexAny(data[from:], "\r\n")
	if i < 0 {
		e.seen = len(data) - start
		return start, nil, nil
	}
	e.seen = 0
	end := from + i
	e.cr = data[end] == '\r'
	return end + 1, data[start:end], nil
}
