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

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := appendJSON(nil, v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer has no form in JSON"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// fail answers with an error in words; clients parse those as JSON too.
func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Del("Cache-Control")
	answer(w, status, map[string]string{"error": text})
}

// sendTime is how long a client may take to take an answer that others wait for.
const sendTime = time.Minute

// hurry says that others wait until the answer has been taken. What it returns
// is to be called then.
func hurry(w http.ResponseWriter) (sent func()) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(sendTime))
	return func() { _ = c.SetWriteDeadline(time.Time{}) }
}

// done answers with nothing, which is how most commands are. It has a type all
// the same, which is the reference's.
func done(w http.ResponseWriter) {
	if h := w.Header(); h.Get("Content-Type") == "" {
		h.Set("Content-Type", download)
	}
	w.WriteHeader(http.StatusOK)
}

// depthMax bounds how deep a client's JSON goes. Part of it is kept and put into
// answers, and what goes beyond 10 000 levels there could not be encoded at all.
const depthMax = 1000

// tooDeep reports whether JSON, which need not be valid, goes deeper.
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

// readBody returns the body of a request that is to be JSON. If that cannot be
// had it has answered: with 413 if there is too much of it.
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

// readJSON decodes the body, of whatever Content-Type, into v. If it cannot it
// has answered.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	body, ok := readBody(w, r)
	if !ok {
		return false
	}
	if err := json.Unmarshal(body, v); err != nil {
		fail(w, http.StatusBadRequest, "the body is not what it should be: "+err.Error())
		return false
	}
	return true
}

// member is one member of an [object].
type member struct {
	name  string
	value any
}

// object is a JSON object whose members keep their order: clients read the
// order of inputs, prompts and records from it.
type object []member

func (o *object) add(name string, value any) { *o = append(*o, member{name, value}) }

// MarshalJSON writes the members in order.
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

// appendJSON appends v. What is made here is written as it is: encoding/json
// would read the text of an object again for each one that it is in.
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
	text, err := json.Marshal(v)
	return append(b, text...), err
}

func appendList[T any](b []byte, list []T) (_ []byte, err error) {
	if list == nil {
		return append(b, "null"...), nil
	}
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

// rawJSON is what appendJSON has made before.
type rawJSON []byte
