package web

import (
	"context"
	"net/http"

	"github.com/nodebus/nodebus"
)

type grantKey struct{}

// WithGrant returns the request with the grant that the host program gave to it.
func WithGrant(r *http.Request, g nodebus.Grant) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), grantKey{}, g))
}

// Granted returns the grant of the request, or the zero Grant if the host program checks
// no requests.
func Granted(r *http.Request) nodebus.Grant {
	g, _ := r.Context().Value(grantKey{}).(nodebus.Grant)
	return g
}

// MayChange reports whether the request may end or delete prompts of a client, and delete
// their records.
func MayChange(r *http.Request, client string) bool {
	only := Granted(r).Client
	return only == "" || only == client
}
