package web

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// streamBuffer is the size of the text that a stream collects before it sends it, in
// bytes. A shorter answer has a Content-Length, like all other answers.
const streamBuffer = 64 << 10

// Stream writes a long JSON answer while the answer is made, so that the server never
// holds a whole list. The client must take each part within sendTime. A part is larger
// than streamBuffer only if one value in it is.
type Stream struct {
	w    http.ResponseWriter
	c    *http.ResponseController
	buf  []byte
	sent bool // a part was sent, and the status with it
	gone bool // the client does not take the answer

	unencodable error // a value has no JSON form
}

// NewStream returns a stream whose answer has status 200.
func NewStream(w http.ResponseWriter) *Stream {
	return &Stream{w: w, c: http.NewResponseController(w)}
}

// Text appends JSON text.
func (s *Stream) Text(text string) { s.buf = append(s.buf, text...) }

// Comma appends a comma unless it is the first call for this list or object.
func (s *Stream) Comma(first *bool) {
	if !*first {
		s.buf = append(s.buf, ',')
	}
	*first = false
}

// Value appends v as JSON, and sends what has been collected if that is much. It returns
// false if the answer cannot go on.
func (s *Stream) Value(v any) bool {
	if s.failed() {
		return false
	}
	s.unencodable = nodebus.Protect(func() (err error) { s.buf, err = appendJSON(s.buf, v); return err })
	if s.unencodable != nil || len(s.buf) < streamBuffer {
		return s.unencodable == nil
	}
	return s.flush()
}

func (s *Stream) failed() bool { return s.gone || s.unencodable != nil }

func (s *Stream) flush() bool {
	if !s.sent {
		s.sent = true
		s.w.Header().Set("Content-Type", jsonType)
		s.w.WriteHeader(http.StatusOK)
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(sendTime))
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.c.Flush()
	}
	s.gone = err != nil && !errors.Is(err, http.ErrNotSupported)
	if s.buf = s.buf[:0]; cap(s.buf) > 4*streamBuffer { // a large value was in it
		s.buf = nil
	}
	return !s.gone
}

// End sends the rest of the answer. If err or an earlier error prevents it, End answers
// with an error status, or breaks the connection if the status was sent already: the
// client must not take half an answer for all of it. err is an error of the queue or of the
// store; log receives it.
func (s *Stream) End(log *slog.Logger, err error) {
	switch {
	case err != nil && !s.sent:
		Unavailable(s.w, log, err)
	case err != nil:
		log.Error("queue or store failed during an answer", "error", err)
		panic(http.ErrAbortHandler)
	case s.unencodable != nil && !s.sent:
		write(s.w, http.StatusInternalServerError, []byte(Unencodable))
	case s.unencodable != nil:
		log.Error("answer cannot be encoded as JSON", "error", s.unencodable)
		panic(http.ErrAbortHandler)
	case !s.sent:
		defer LimitWrite(s.w)()
		write(s.w, http.StatusOK, s.buf)
	case !s.gone && s.flush():
		_ = s.c.SetWriteDeadline(time.Time{})
	default: // the client is gone, or takes nothing
		panic(http.ErrAbortHandler)
	}
}

// Member appends the name of a member of an object.
func (s *Stream) Member(name string) {
	s.buf = append(jsonenc.String(s.buf, name), ':')
}

// write writes the status and JSON text.
func write(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", jsonType)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

const jsonType = "application/json; charset=utf-8"
