package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// RefusedError is the error of a request that the server refused with an error status; a
// handshake with a status below 500. It is [nodebus.ErrUnauthenticated] if the status is
// 401. A prompt that is not valid is also a [*nodebus.ValidationError].
type RefusedError struct {
	Status int    // the HTTP status, for example 403
	Text   string // why the server refused: its error text, or the start of the body; at most 1 KiB; it may be empty
	Err    error  // the error of the handshake, or the *nodebus.ValidationError of a prompt; otherwise nil
	what   string // what was refused; empty: the connection

	certain bool // the server has done nothing
}

func (e *RefusedError) Error() string {
	what, why := e.what, e.Text
	if what == "" {
		what = "the connection"
	}
	var invalid *nodebus.ValidationError
	switch {
	case errors.As(e.Err, &invalid):
		why = strings.TrimPrefix(invalid.Error(), "nodebus: ")
	case why == "" && e.Err != nil:
		why = e.Err.Error()
	case why == "":
		why = http.StatusText(e.Status)
	}
	return fmt.Sprintf("client: the server refused %s with status %d: %s", what, e.Status, why)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Is reports whether target is the reason that the status tells.
func (e *RefusedError) Is(target error) bool {
	return target == nodebus.ErrUnauthenticated && e.Status == http.StatusUnauthorized
}

const (
	refusalMax = 1 << 10 // maximum length of RefusedError.Text, in bytes
	refusalAll = 8 << 20 // of the body of a refusal, this much is read; a ValidationError may be long
)

// refused reads the answer with which the server refuses a request.
func refused(what string, res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, refusalAll)) // what was read before an error is the text
	e := &RefusedError{Status: res.StatusCode, Text: refusalText(body), what: what, certain: res.StatusCode < 500}
	switch invalid := invalidPrompt(body); {
	case invalid == nil:
	case e.certain:
		e.Err = invalid
	default:
		e.certain = invalid.Type == "queue_full"
	}
	return e
}

// refusal returns the text with which the server has refused a connection.
func refusal(r io.Reader) string {
	body, _ := io.ReadAll(io.LimitReader(r, refusalMax)) // what was read before an error is the text
	return refusalText(body)
}

// refusalText returns the error text of a body: the member "error" of a JSON object, which
// is a text, perhaps with details beside it, or has a message and details, or else the start of the body.
func refusalText(body []byte) string {
	var refused struct {
		Error   json.RawMessage
		Details any // a text beside an error that is a text
	}
	text := ""
	if json.Unmarshal(jsonenc.Nulls(body), &refused) == nil {
		var about nodebus.Problem
		switch {
		case json.Unmarshal(refused.Error, &text) == nil:
			if details, _ := refused.Details.(string); text != "" && details != "" {
				text += ": " + details
			}
		case json.Unmarshal(refused.Error, &about) != nil:
		case about.Details == "" || about.Details == about.Message:
			text = about.Message
		default:
			text = about.Message + ": " + about.Details
		}
	}
	if text == "" {
		text = string(body[:min(len(body), refusalMax)])
	}
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\ufffd"))
	if len(text) > refusalMax {
		text = strings.ToValidUTF8(text[:refusalMax], "") // half a character may be at the end
	}
	return text
}

// invalidPrompt reads the body with which the server refuses a prompt that is not valid. It
// returns nil for another body.
func invalidPrompt(body []byte) *nodebus.ValidationError {
	var w struct {
		Error nodebus.Problem `json:"error"`
		Nodes json.RawMessage `json:"node_errors"`
	}
	if json.Unmarshal(jsonenc.Nulls(body), &w) != nil || w.Error.Type == "" || w.Nodes == nil {
		return nil
	}
	return &nodebus.ValidationError{Problem: w.Error, Nodes: nodeProblems(w.Nodes)}
}

// nodeProblems reads node_errors. ComfyUI sends a list if there are none, and an error
// whose form is unknown has its JSON as the message.
func nodeProblems(data json.RawMessage) map[string]*nodebus.NodeProblems {
	var raw map[string]json.RawMessage
	if json.Unmarshal(data, &raw) != nil || len(raw) == 0 {
		return nil
	}
	nodes := make(map[string]*nodebus.NodeProblems, len(raw))
	for id, text := range raw {
		p := new(nodebus.NodeProblems)
		if json.Unmarshal(text, p) != nil {
			p = &nodebus.NodeProblems{Errors: []nodebus.Problem{{Message: string(text)}}}
		}
		nodes[id] = p
	}
	return nodes
}

// because returns an error with its reason. It is both. Its text has one prefix.
func because(err, reason error) error { return &caused{err, reason} }

type caused struct{ err, reason error }

func (e *caused) Error() string {
	return e.err.Error() + ": " + strings.TrimPrefix(e.reason.Error(), "client: ")
}

func (e *caused) Unwrap() []error { return []error{e.err, e.reason} }
