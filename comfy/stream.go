package comfy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// streamBuffer is the size of the text that a stream collects before it sends it, in
// bytes. A shorter answer has a Content-Length, like all other answers.
const streamBuffer = 64 << 10

// stream writes a long JSON answer while the answer is made, so that the server never
// holds a whole list. The client must take each part within sendTime. A part is larger
// than streamBuffer only if one value in it is.
type stream struct {
	w    http.ResponseWriter
	c    *http.ResponseController
	buf  []byte
	sent bool // a part was sent, and the status with it
	gone bool // the client does not take the answer

	unencodable error // a value has no JSON form
}

func newStream(w http.ResponseWriter) *stream {
	return &stream{w: w, c: http.NewResponseController(w)}
}

// text appends JSON text.
func (s *stream) text(text string) { s.buf = append(s.buf, text...) }

// comma appends a comma unless it is the first call for this list or object.
func (s *stream) comma(first *bool) {
	if !*first {
		s.buf = append(s.buf, ',')
	}
	*first = false
}

// value appends v as JSON, and sends what has been collected if that is much. It returns
// false if the answer cannot go on.
func (s *stream) value(v any) bool {
	if s.failed() {
		return false
	}
	if s.buf, s.unencodable = appendJSON(s.buf, v); s.unencodable != nil || len(s.buf) < streamBuffer {
		return s.unencodable == nil
	}
	return s.flush()
}

func (s *stream) failed() bool { return s.gone || s.unencodable != nil }

func (s *stream) flush() bool {
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

// end sends the rest of the answer. If err or an earlier error prevents it, end answers
// with an error status, or breaks the connection if the status was sent already: the
// client must not take half an answer for all of it. err is an error of the queue or of the
// store.
func (s *stream) end(server *Server, err error) {
	switch {
	case err != nil && !s.sent:
		server.unavailable(s.w, err)
	case err != nil:
		server.opts.Logger.Error("queue or store failed during an answer", "error", err)
		panic(http.ErrAbortHandler)
	case s.unencodable != nil && !s.sent:
		write(s.w, http.StatusInternalServerError, []byte(unencodable))
	case s.unencodable != nil:
		server.opts.Logger.Error("answer cannot be encoded as JSON", "error", s.unencodable)
		panic(http.ErrAbortHandler)
	case !s.sent:
		defer limitWrite(s.w)()
		write(s.w, http.StatusOK, s.buf)
	case !s.gone && s.flush():
		_ = s.c.SetWriteDeadline(time.Time{})
	default: // the client is gone, or takes nothing
		panic(http.ErrAbortHandler)
	}
}

// item appends a prompt in the format of lists; see [Server.item]. It appends the graph
// node by node.
func (s *stream) item(item []any) bool {
	nodes, _ := item[2].(nodebus.Nodes)
	s.text("[")
	s.value(item[0])
	s.text(",")
	s.value(item[1])
	s.text(",{")
	first := true
	for i := range nodes {
		text, err := json.Marshal(nodes[i : i+1])
		if err != nil {
			s.unencodable = err
			return false
		}
		s.comma(&first)
		if !s.value(rawJSON(text[1 : len(text)-1])) {
			return false
		}
	}
	s.text("},")
	s.value(item[3])
	s.text(",")
	ok := s.value(item[4])
	s.text("]")
	return ok
}

// member appends the name of a member of an object.
func (s *stream) member(name string) {
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
