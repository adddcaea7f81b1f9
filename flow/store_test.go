package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func TestStore(t *testing.T) {
	s := flow.NewStore(&flow.StoreOptions{Len: 3})
	for i := range 5 {
		require.NoError(t, s.Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: fmt.Sprint(i)}}))
	}
	ids := func() (ids []string) {
		for r, err := range s.List(t.Context()) {
			require.NoError(t, err)
			ids = append(ids, r.Prompt.ID)
		}
		return ids
	}
	require.Equal(t, []string{"4", "3", "2"}, ids(), "newest first, and at most Len records")
	_, err := s.Get(t.Context(), "1")
	require.ErrorIs(t, err, flow.ErrNotFound)
	require.NoError(t, s.Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "3"}, State: nodebus.Failed}))
	rec, err := s.Get(t.Context(), "3")
	require.NoError(t, err)
	require.Equal(t, nodebus.Failed, rec.State)
	require.Equal(t, []string{"4", "3", "2"}, ids(), "a replaced record keeps its place")
	require.NoError(t, s.Delete(t.Context(), "4", "nobody"))
	require.Equal(t, []string{"3", "2"}, ids())
	for rec, err := range s.List(t.Context()) { // a caller may stop early
		require.NoError(t, err)
		require.Equal(t, "3", rec.Prompt.ID)
		break
	}
}
