package main

import (
	"io"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// backend keeps the parts of nodebus, and has what is measured beside it.
type backend struct {
	name     string                                           // its peers are called name-push and so on
	bare     string                                           // the name of the peers without nodebus
	open     func(dir string) (parts, error)                  // nil: the parts are in memory
	openBare func(dir string) (bare, error)                   // what the backend is made of
	openAll  func(dir string, n int) (all []parts, err error) // as n processes would; nil if only one can
	fast     *backend                                         // makes the same files faster; may be nil
	programs []string                                         // each imports more than the program before
	// streams has further ways of publishing events without nodebus.
	streams map[string]func(b bare, publishers, n int, value []byte) error
	// besides appends a value durably, and another one that it does not wait for; may be nil.
	besides func(b bare, value, other []byte) error
}

// filling returns the backend that makes files whose making is not measured.
func (b *backend) filling() *backend {
	if b.fast != nil {
		return b.fast
	}
	return b
}

// parts are a queue, a store, signals and a log.
type parts interface {
	io.Closer
	Queue() flow.Queue
	Store() flow.Store
	Signals() flow.Signals
	Log() nodebus.Log
}

// bare keeps bytes without nodebus.
type bare interface {
	io.Closer
	// append stores a value durably before it returns. callers call it at the same time.
	append(callers int, value []byte) error
	// stream stores n values that some publishers do not wait for, and returns when all are durable.
	stream(publishers, n int, value []byte) error
	// read calls f with n values after the first skip.
	read(skip, n int, f func(value []byte)) error
}

// memory has all parts in memory.
var memory = &backend{name: "memory"}

// backends are the values of the flag -backend.
var backends = []*backend{
	boltBackend,
	natsBackend("nats", 1, true), natsBackend("nats-unsynced", 1, false),
	natsBackend("nats-cluster", 3, true), natsBackend("nats-cluster-unsynced", 3, false),
}

// backendOf returns nil if no backend has the name.
func backendOf(name string) *backend {
	if i := slices.IndexFunc(backends, func(b *backend) bool { return b.name == name }); i >= 0 {
		return backends[i]
	}
	return nil
}

// timed returns the work of turns that count as a whole.
func timed(work func(n int) error) func(int) (time.Duration, error) {
	return func(n int) (time.Duration, error) {
		began := time.Now()
		err := work(n)
		return time.Since(began), err
	}
}

// barePeer does its work without nodebus. It begins with n values.
func (b *backend) barePeer(n int, bytes func() ([]byte, error), work func(r bare, value []byte) func(n int) (time.Duration, error)) peer {
	return peer{b.bare, func(dir string) (*worker, error) {
		value, err := bytes()
		if err != nil {
			return nil, err
		}
		r, err := b.openBare(dir)
		if err != nil {
			return nil, err
		}
		w := &worker{turn: work(r, value), end: r.Close}
		if n > 0 {
			err = r.stream(1, n, value)
		}
		return w, err
	}}
}
