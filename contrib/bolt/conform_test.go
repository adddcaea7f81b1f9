package bolt_test

import (
	"testing"

	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// withKey has a key for secrets.
func withKey() *bolt.Options { return &bolt.Options{SecretKey: make([]byte, 32)} }

func TestQueue(t *testing.T) {
	for name, opts := range map[string]*bolt.Options{"without a key": nil, "with a key": withKey()} {
		t.Run(name, func(t *testing.T) {
			conform.Queue(t, func(t *testing.T) flow.Queue { return open(t, newPath(t), opts).Queue() })
		})
	}
}

func TestQueueLimits(t *testing.T) {
	opts := &bolt.Options{Queue: &flow.QueueOptions{Len: 8}}
	conform.QueueLimits(t, func(t *testing.T) flow.Queue { return open(t, newPath(t), opts).Queue() })
}

// reopens opens a file, and returns a function that opens the file again.
func reopens[T any](t *testing.T, opts *bolt.Options, part func(*bolt.DB) T) (T, func() T) {
	path := newPath(t)
	db := open(t, path, opts)
	return part(db), func() T {
		require.NoError(t, db.Close())
		db = open(t, path, opts)
		return part(db)
	}
}

func TestQueueReopens(t *testing.T) {
	for name, opts := range map[string]*bolt.Options{"without a key": nil, "with a key": withKey()} {
		t.Run(name, func(t *testing.T) {
			conform.QueueReopens(t, func(t *testing.T) (flow.Queue, func() flow.Queue) {
				return reopens(t, opts, (*bolt.DB).Queue)
			})
		})
	}
}

func TestStore(t *testing.T) {
	conform.Store(t, func(t *testing.T) flow.Store { return open(t, newPath(t), nil).Store() })
}

func TestStoreReopens(t *testing.T) {
	conform.StoreReopens(t, func(t *testing.T) (flow.Store, func() flow.Store) {
		return reopens(t, nil, (*bolt.DB).Store)
	})
}

func TestSignals(t *testing.T) {
	conform.Signals(t, func(t *testing.T) flow.Signals { return open(t, newPath(t), nil).Signals() })
}

func TestSignalsReopens(t *testing.T) {
	conform.SignalsReopens(t, func(t *testing.T) (flow.Signals, func() flow.Signals) {
		return reopens(t, nil, (*bolt.DB).Signals)
	})
}
