package bolt_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// TestDoneAfterEnd checks that a prompt does not leave the file before its last event is in the
// file, also if both come while a transaction is under way: if the process were killed between
// them, nobody would tell the end.
func TestDoneAfterEnd(t *testing.T) {
	for name, fails := range map[string]bool{"the transaction succeeds": false, "the transaction is made again": true} {
		t.Run(name, func(t *testing.T) {
			d, ctx := open(t, newPath(t), nil), t.Context()
			require.NoError(t, d.Queue().Push(ctx, &nodebus.Prompt{ID: "p"}, nil))
			lease, err := d.Queue().TakeOne(ctx, "p")
			require.NoError(t, err)

			release := holds(d)
			inside, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			held := d.Begin(func(*bbolt.Tx) error {
				once.Do(func() { close(inside); <-goOn })
				return nil
			})
			wrong := errors.New("wrong")
			other := d.Begin(func(*bbolt.Tx) error {
				if fails {
					return wrong
				}
				return nil
			})
			release()
			<-inside
			var kept int
			next := d.Begin(func(tx *bbolt.Tx) error {
				kept = bolt.Prompts(tx)
				return nil
			})
			require.NoError(t, d.Log().Append(nodebus.Event{PromptID: "p", Attempt: 1, Payload: nodebus.Executing{PromptID: "p"}}))
			done := make(chan error, 1)
			go func() { done <- lease.Done(ctx) }()
			for _, leased, err := d.Queue().Len(ctx); leased > 0; _, leased, err = d.Queue().Len(ctx) {
				require.NoError(t, err)
			}
			require.Error(t, d.Queue().Move(ctx, "none", 1), "Done has begun its change before this returns")
			close(goOn)
			require.NoError(t, held.Wait(ctx))
			if err := other.Wait(ctx); fails {
				require.Equal(t, wrong, err)
			}
			require.NoError(t, next.Wait(ctx))
			require.Equal(t, 1, kept, "the transaction that began before the last event has removed the prompt")
			require.NoError(t, <-done)
			require.NoError(t, d.Begin(func(tx *bbolt.Tx) error {
				kept = bolt.Prompts(tx)
				return nil
			}).Wait(ctx))
			require.Zero(t, kept)
		})
	}
}
