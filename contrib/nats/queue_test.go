package nats_test

import (
	"testing"

	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// withKey returns options with a new name and a key for secrets.
func withKey() nats.Options { return nats.Options{Name: newName(), SecretKey: make([]byte, 32)} }

func nobody(string) bool { return false }

func TestQueue(t *testing.T) {
	for name, opts := range map[string]func() nats.Options{
		"without a key": func() nats.Options { return nats.Options{Name: newName()} },
		"with a key":    withKey,
	} {
		t.Run(name, func(t *testing.T) {
			conform.Queue(t, func(t *testing.T) flow.Queue { return open(t, shared, opts()).Queue() })
		})
	}
}

func TestQueueLimits(t *testing.T) {
	conform.QueueLimits(t, func(t *testing.T) flow.Queue {
		return open(t, shared, nats.Options{Name: newName(), Queue: &flow.QueueOptions{Len: 8}}).Queue()
	})
}

// TestQueueReopens opens the queue again after it was closed, with and without the name of
// the node before; and while it is still open, as another process does.
func TestQueueReopens(t *testing.T) {
	for name, c := range map[string]struct {
		first, second string
		stays         bool
	}{
		"the same node":       {"a", "a", false},
		"another node":        {"a", "b", false},
		"without a node":      {"", "", false},
		"another that shares": {"a", "b", true},
	} {
		t.Run(name, func(t *testing.T) {
			conform.QueueReopens(t, func(t *testing.T) (flow.Queue, func() flow.Queue) {
				opts := withKey()
				opts.Node = c.first
				bus := open(t, shared, opts)
				return bus.Queue(), func() flow.Queue {
					if !c.stays {
						require.NoError(t, bus.Close())
					}
					opts.Node = c.second
					return open(t, shared, opts).Queue()
				}
			})
		})
	}
}
