// Package crowd bounds how many connections are open. Each connection holds memory, and
// every client can open as many as it likes.
package crowd

import (
	"fmt"
	"net/http"
	"sync"
)

// The default bounds of a Crowd.
const (
	perClientDefault = 1000
	allDefault       = 10_000
)

// Crowd counts the connections of the clients of a server. It is safe for concurrent use.
type Crowd struct {
	perClient, all int

	mu  sync.Mutex
	now int
	of  map[string]int
}

// New returns a Crowd with bounds. For a bound of 0 or less it has the default.
func New(perClient, all int) *Crowd {
	if perClient <= 0 {
		perClient = perClientDefault
	}
	if all <= 0 {
		all = allDefault
	}
	return &Crowd{perClient: perClient, all: all, of: map[string]int{}}
}

// Enter counts a connection of a client, for which the caller must call Leave later. If
// there are too many, Enter counts nothing, and returns the status of the answer and an
// error for the client. An empty client is nobody in particular: only the other bound
// applies to it.
func (c *Crowd) Enter(client string) (status int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case client != "" && c.of[client] >= c.perClient:
		return http.StatusTooManyRequests, fmt.Errorf("the client has %d connections, and a client may have no more at the same time (Options.MaxPerClient); close one of them", c.of[client])
	case c.now >= c.all:
		return http.StatusServiceUnavailable, fmt.Errorf("the server has %d connections, and may have no more at the same time (Options.MaxConnections); try again later", c.now)
	}
	c.now++
	if client != "" {
		c.of[client]++
	}
	return 0, nil
}

// Leave counts the end of a connection.
func (c *Crowd) Leave(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
	if client == "" {
		return
	}
	if c.of[client]--; c.of[client] == 0 {
		delete(c.of, client)
	}
}
