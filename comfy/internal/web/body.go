package web

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/nodebus/nodebus/internal/intake"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// depthMax is the maximum number of nested levels in a client's JSON. The server
// keeps parts of that JSON and puts them into answers, and encoding/json fails on
// more than 10 000 levels.
const depthMax = 1000

// tooDeep reports whether JSON text has more than depthMax levels. The text does
// not need to be valid.
func tooDeep(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > depthMax {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

// The limits of the JSON of commands, that is of all JSON but prompts. The settings of a
// user may have as many bytes.
const (
	commandMax       = 8 << 20
	commandMemoryMax = 32 << 20 // after decoding
)

// ReadCommand does the same as ReadBody, within the limits of commands.
func ReadCommand(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, commandMax)
	if body, ok = ReadBody(w, r); ok && jsonenc.Cost(body, commandMemoryMax) > commandMemoryMax {
		Fail(w, http.StatusRequestEntityTooLarge, "the body has too many values")
		return nil, false
	}
	return body, ok
}

// ReadBody reads the body of a request that contains JSON. If ok is false,
// ReadBody has already answered: with status 400 if the body has too many levels, or
// like [Unread].
func ReadBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	body, err := io.ReadAll(r.Body)
	switch {
	case err == nil && tooDeep(body):
		Fail(w, http.StatusBadRequest, "the body has more than "+strconv.Itoa(depthMax)+" levels")
	case err == nil:
		return body, true
	default:
		Unread(w, err)
	}
	return nil, false
}

// Unread answers a request whose body could not be read because of err: with status 413
// if the body is too large, 408 if it came too slowly, 415 if it is packed in a way that
// the server does not know, and 400 otherwise.
func Unread(w http.ResponseWriter, err error) {
	status, text := intake.Refusal(err)
	Fail(w, status, text)
}

// ReadJSON decodes the body into v and ignores the Content-Type. If it returns
// false, it has already answered.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	body, ok := ReadCommand(w, r)
	if !ok {
		return false
	}
	if err := jsonenc.Read(body, v, ""); err != nil {
		Fail(w, http.StatusBadRequest, "the body is not the expected JSON: "+err.Error())
		return false
	}
	return true
}

// Truth decodes any JSON value to true or false, by the rules of Python.
type Truth bool

// UnmarshalJSON never fails.
func (t *Truth) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null", "false", "0", "0.0", `""`, "[]", "{}":
		*t = false
	default:
		*t = true
	}
	return nil
}

// Source keeps the error of its Reader. The error shows whether the client or the
// disk has failed.
type Source struct {
	io.Reader
	Err error // nil at the end of the Reader
}

// Read reads from the Reader and keeps its error.
func (s *Source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.Err = err
	}
	return n, err
}
