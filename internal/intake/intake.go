// Package intake reads the bodies of requests. A client decides what it sends and how
// fast, so a body has a bound, and a client that stops in the middle of it is given up.
package intake

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Limits are the limits of a body.
type Limits struct {
	// Bytes is the maximum size of the body, as it is sent and unpacked.
	Bytes int64
	// Wait is how long a client may take for the next [Piece] of the body, or for the rest
	// of the body. Only the time in which the handler reads counts. Zero or less: for ever.
	Wait time.Duration
}

// Piece is the number of bytes that a client must send in each Limits.Wait. It also counts for
// messages on a WebSocket.
const Piece = 16 << 10

// Open returns r with a body that has limits, and that is unpacked if its Content-Encoding
// is gzip or deflate. If Open returns an error, the body has another encoding; then the
// body has the limits, too. [Refusal] has the answer to this error, and to each error of the body.
//
// The server reads what a handler leaves of a body, so Open must come before everything
// that answers.
func Open(w http.ResponseWriter, r *http.Request, l Limits) (*http.Request, error) {
	if isEmpty(r) {
		return r, nil
	}
	to := r.WithContext(r.Context()) // a copy, because the server looks at the body of its own
	to.Body = watch(w, r, l.Wait)
	to.Body = http.MaxBytesReader(w, to.Body, l.Bytes)
	form, err := encoding(r.Header)
	if err != nil {
		w.Header().Set("Accept-Encoding", "gzip, deflate")
		return to, err
	}
	if form != "" {
		to.Body = http.MaxBytesReader(w, &unpacker{packed: to.Body, form: form}, l.Bytes)
		to.ContentLength = -1
	}
	return to, nil
}

// Watch sets a deadline for the body of a request whose handler reads no body. Without it,
// the server would wait for ever for the body of a client that announces a body and does
// not send it.
func Watch(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	if !isEmpty(r) && wait > 0 && r.ProtoMajor < 2 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait)) // a recorder of a test has none
	}
}

// isEmpty reports whether a request has no body.
func isEmpty(r *http.Request) bool { return r.Body == nil || r.Body == http.NoBody }

// Refusal returns the status and the text of the answer for an error of Open or of a body.
func Refusal(err error) (status int, text string) {
	var large *http.MaxBytesError
	var other *encodingError
	var corrupt *corruptError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", large.Limit)
	case errors.As(err, &other):
		return http.StatusUnsupportedMediaType, other.Error()
	case errors.As(err, &corrupt):
		return http.StatusBadRequest, corrupt.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "the body came too slowly"
	}
	return http.StatusBadRequest, "the body could not be read"
}

// encodingError is the error for a body with an encoding that nobody can unpack here.
type encodingError struct{ encoding string }

func (e *encodingError) Error() string {
	return fmt.Sprintf("a body with the Content-Encoding %q cannot be unpacked; send gzip, deflate, or no encoding", e.encoding)
}

// encoding returns the encoding of a body: gzip, deflate or nothing.
func encoding(h http.Header) (form string, err error) {
	named := strings.ToLower(strings.Join(h.Values("Content-Encoding"), ","))
	for name := range strings.SplitSeq(named, ",") {
		name = strings.TrimPrefix(strings.TrimSpace(name), "x-")
		switch {
		case name == "" || name == "identity":
		case form == "" && (name == "gzip" || name == "deflate"):
			form = name
		default: // also a body that is packed twice
			return "", &encodingError{named}
		}
	}
	return form, nil
}

// watched is a body whose client must make progress.
type watched struct {
	body    io.ReadCloser
	control *http.ResponseController
	wait    time.Duration
	shared  bool          // other requests use the connection at the same time, as in HTTP/2
	left    time.Duration // for the rest of the piece
	got     int           // bytes of the piece
	over    bool
}

func watch(w http.ResponseWriter, r *http.Request, wait time.Duration) io.ReadCloser {
	if wait <= 0 {
		return r.Body
	}
	b := &watched{body: r.Body, control: http.NewResponseController(w), wait: wait, shared: r.ProtoMajor >= 2, left: wait}
	if !b.shared {
		b.allow(time.Now().Add(wait)) // the handler may not read at all, and then the server does
	}
	return b
}

// allow sets the deadline of the connection. A ResponseWriter that has no deadlines is one
// of a test, or a wrapper that hides them.
func (b *watched) allow(t time.Time) { _ = b.control.SetReadDeadline(t) }

func (b *watched) Read(p []byte) (n int, err error) {
	if b.over {
		return b.body.Read(p)
	}
	began := time.Now()
	b.allow(began.Add(b.left))
	n, err = b.body.Read(p)
	b.left -= time.Since(began)
	if b.got += n; b.got >= Piece {
		b.got, b.left = 0, b.wait
	}
	// After the body, the server goes on to read, to learn whether the client goes. In
	// HTTP/2, a deadline ends the body even if nobody reads it.
	if b.over = errors.Is(err, io.EOF); b.over || b.shared {
		b.allow(time.Time{})
	}
	return n, err
}

func (b *watched) Close() error { return b.body.Close() }
