package golden_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answer is the response to a request.
type answer struct {
	Request string
	Status  int
	Body    any
	// Type and Keys are set only for responses over HTTP. Type is the content
	// type. Keys lists the names of objects where the order of names matters.
	Type string
	Keys []string
}

const jsonType = "application/json; charset=utf-8"

// body returns the recorded response body.
func (e *entry) body() []byte {
	switch {
	case e.Words != "":
		return []byte(e.Words)
	case string(e.Response) == "null":
		return nil
	}
	return e.Response
}

// overHTTP returns a response as an answer. In a history and in an object_info, the
// order of the names of prompts and inputs matters, so the answer keeps it.
func overHTTP(t *testing.T, request string, status int, typ string, body []byte) answer {
	a := answer{Request: request, Status: status, Type: typ}
	switch {
	case len(body) == 0:
	case typ == jsonType:
		require.NoError(t, json.Unmarshal(body, &a.Body))
	default:
		a.Body = string(body)
	}
	switch {
	case strings.HasPrefix(request, "GET /history"):
		a.Keys = keys(t, body, 1)
	case strings.HasPrefix(request, "GET /object_info"):
		a.Keys = keys(t, body, 10)
	}
	return a
}

// keys returns the names in all objects of a JSON document down to a depth, in the
// order of the document.
func keys(t *testing.T, document []byte, depth int) (all []string) {
	dec := json.NewDecoder(bytes.NewReader(document))
	token := func() json.Token {
		tok, err := dec.Token()
		require.NoError(t, err)
		return tok
	}
	var value func(path string, depth int)
	value = func(path string, depth int) {
		switch token() {
		case json.Delim('{'):
			for dec.More() {
				name := path + "/" + token().(string)
				if depth > 0 {
					all = append(all, name)
				}
				value(name, depth-1)
			}
			token()
		case json.Delim('['):
			for dec.More() {
				value(path, depth)
			}
			token()
		}
	}
	value("", depth)
	return all
}
