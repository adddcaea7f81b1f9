package comfy

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// answer writes the status and v as JSON. If v cannot be encoded, the status is
// 500.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := appendJSON(nil, v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(unencodable)
	}
	write(w, status, body)
}

// unencodable is the answer in place of an answer that has no JSON form.
const unencodable = `{"error":"the answer cannot be encoded as JSON"}`

// fail answers with an error text. The text is in a JSON object, because clients
// parse the body of every answer as JSON.
func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Del("Cache-Control")
	answer(w, status, map[string]string{"error": text})
}

// sendTime is the maximum time for a client to receive an answer while other
// requests wait for the end of that answer.
const sendTime = time.Minute

// limitWrite sets a write deadline of sendTime, because other requests wait until the
// answer is written. The caller must call sent after the answer is written; sent
// removes the deadline, so that the next request on the connection has none.
func limitWrite(w http.ResponseWriter) (sent func()) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(sendTime))
	return func() { _ = c.SetWriteDeadline(time.Time{}) }
}

// done answers with status 200 and an empty body, as most commands do. The answer
// has a Content-Type nevertheless, because ComfyUI sends one.
func done(w http.ResponseWriter) {
	if h := w.Header(); h.Get("Content-Type") == "" {
		h.Set("Content-Type", download)
	}
	w.WriteHeader(http.StatusOK)
}

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

// readCommand does the same as readBody, within the limits of commands.
func readCommand(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, commandMax)
	if body, ok = readBody(w, r); ok && jsonenc.Cost(body, commandMemoryMax) > commandMemoryMax {
		fail(w, http.StatusRequestEntityTooLarge, "the body has too many values")
		return nil, false
	}
	return body, ok
}

// readBody reads the body of a request that contains JSON. If ok is false,
// readBody has already answered: with status 413 if the body is too large, or
// with status 400 if it has too many levels or cannot be read.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case err == nil && tooDeep(body):
		fail(w, http.StatusBadRequest, "the body has more than "+strconv.Itoa(depthMax)+" levels")
	case err == nil:
		return body, true
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, "the body is larger than "+strconv.FormatInt(large.Limit, 10)+" bytes")
	default:
		fail(w, http.StatusBadRequest, "the body could not be read")
	}
	return nil, false
}

// readJSON decodes the body into v and ignores the Content-Type. If it returns
// false, it has already answered.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	body, ok := readCommand(w, r)
	if !ok {
		return false
	}
	if err := json.Unmarshal(body, v); err != nil {
		fail(w, http.StatusBadRequest, "the body is not the expected JSON: "+err.Error())
		return false
	}
	return true
}

// member is one member of an [object].
type member struct {
	name  string
	value any
}

// object is a JSON object whose members keep their order. Clients depend on the
// order of inputs, prompts and records.
type object []member

func (o *object) add(name string, value any) { *o = append(*o, member{name, value}) }

// MarshalJSON encodes the members in order.
func (o object) MarshalJSON() ([]byte, error) { return o.append(nil) }

func (o object) append(b []byte) (_ []byte, err error) {
	b = append(b, '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonenc.String(b, m.name), ':')
		if b, err = appendJSON(b, m.value); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendJSON appends v as JSON. NaN and infinities, which a node may show, are null,
// because browsers cannot read them. It encodes the types of this file itself, because
// encoding/json parses the output of MarshalJSON again at every level of nested objects.
func appendJSON(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case object:
		return v.append(b)
	case []object:
		return appendList(b, v)
	case [][]any:
		return appendList(b, v)
	case []any:
		return appendList(b, v)
	case rawJSON:
		return append(b, v...), nil
	case string:
		return jsonenc.String(b, v), nil
	}
	text, err := jsonenc.Marshal(v)
	return append(b, text...), err
}

func appendList[T any](b []byte, list []T) (_ []byte, err error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendJSON(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// rawJSON is JSON text that appendJSON has already made.
type rawJSON []byte
