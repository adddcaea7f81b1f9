package nats_test

import (
	"testing"

	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func TestStore(t *testing.T) {
	conform.Store(t, func(t *testing.T) flow.Store { return open(t, shared, nats.Options{Name: newName()}).Store() })
}

// reopens opens a bus, and returns a function that closes it and opens it again.
func reopens[T any](t *testing.T, opts nats.Options, part func(*nats.Bus) T) (T, func() T) {
	opts.Name = newName()
	bus := open(t, shared, opts)
	return part(bus), func() T {
		require.NoError(t, bus.Close())
		bus = open(t, shared, opts)
		return part(bus)
	}
}

func TestStoreReopens(t *testing.T) {
	conform.StoreReopens(t, func(t *testing.T) (flow.Store, func() flow.Store) {
		return reopens(t, nats.Options{}, (*nats.Bus).Store)
	})
}
