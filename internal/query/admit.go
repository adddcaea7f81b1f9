package query

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
)

// Authorize calls the function of a program that decides about a request. Without a
// function, a client may use any id that it knows, and watch every prompt that it names.
// If err is not nil, the request is refused with the status.
func Authorize(r *http.Request, f func(*http.Request) (nodebus.Grant, error)) (grant nodebus.Grant, status int, err error) {
	if f == nil {
		return nodebus.Grant{May: func(string) bool { return true }}, 0, nil
	}
	if grant, err = f(r); err != nil {
		return nodebus.Grant{}, RefusalStatus(err), err
	}
	return grant, 0, nil
}

// RefusalStatus returns the status for an error of Authorize.
func RefusalStatus(err error) int {
	if errors.Is(err, nodebus.ErrUnauthenticated) {
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// Admit reads the query of a client with a grant. It returns the client's id, a new id if
// the client has none, and options that contain the cursor and the prompts to watch. since
// is the text of the cursor. An error is a mistake of the client.
func Admit(q url.Values, grant *nodebus.Grant, since string) (client string, opts *nodebus.SessionOptions, err error) {
	asked, err := Watch(q)
	if err != nil {
		return "", nil, err
	}
	if client, err = ClientID(q); err != nil {
		return "", nil, err
	}
	opts = &nodebus.SessionOptions{WatchAll: grant.WatchAll, May: grant.May}
	if opts.Since, err = nodebus.ParseCursor(since); err != nil {
		return "", nil, err
	}
	opts.Watch = slices.Concat(grant.Watch, slices.DeleteFunc(asked, func(id string) bool { return !grant.Allows(id) }))
	client = strings.ToValidUTF8(client, "\ufffd") // as the client reads it back from JSON
	return cmp.Or(grant.Client, client, NewID()), opts, nil
}

// Greeting returns the first payloads for a client: the result of hello, or, if hello is
// nil, a status with the client's id and the result of remaining, which may be nil.
func Greeting(client string, hello func(client string) []nodebus.Payload, remaining func() int) []nodebus.Payload {
	if hello != nil {
		return hello(client)
	}
	st := nodebus.Status{SID: client}
	if remaining != nil {
		st.QueueRemaining = remaining()
	}
	return []nodebus.Payload{st}
}

// NewID returns a random version 4 UUID as 32 hexadecimal digits.
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}
