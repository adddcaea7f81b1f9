package flow_test

import (
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests have two prompts with the same id.

// TestLeftoverDoesNotHoldUpTheNewPrompt: another engine has deleted a prompt and has used its id
// again. The first engine takes the new prompt while the store does not answer: the question what
// has become of the old prompt does not cost the new one its lease.
func TestLeftoverDoesNotHoldUpTheNewPrompt(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		store.deaf.Store(false)
		e, other := f.engine(&flow.EngineOptions{Store: store}), f.engine(nil)
		old := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("old")})
		_, err := other.Delete(f.ctx, "p")
		require.NoError(t, err)
		time.Sleep(time.Second)
		anew := f.submit(other, &nodebus.Prompt{ID: "p", Nodes: shown("new")})
		store.deaf.Store(true)
		f.run(e)
		time.Sleep(time.Minute)
		store.deaf.Store(false)
		o, err := anew.Wait(f.ctx)
		require.NoError(t, err)
		require.Equal(t, 1, o.Attempt)
		_, err = old.Wait(f.ctx)
		require.Error(t, err)
	})
}
