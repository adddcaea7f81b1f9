package nats_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestRecordComesAfterTheEvents: whoever sees the record of a prompt finds the events that
// were published before it, also if the process that ran the prompt is killed now.
func TestRecordComesAfterTheEvents(t *testing.T) {
	name := newName()
	one, other := open(t, shared, nats.Options{Name: name}), open(t, shared, nats.Options{Name: name})
	const n = 7000
	text := strings.Repeat("x", 1000)
	for i := range n {
		ev := nodebus.Event{PromptID: "p", To: "ann", Payload: nodebus.ProgressText{PromptID: "p", UniqueID: strconv.Itoa(i), Text: text}}
		require.NoError(t, one.Log().Append(ev))
	}
	require.NoError(t, one.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "p"}}))
	_, err := other.Store().Get(t.Context(), "p")
	require.NoError(t, err)
	last, stop, err := other.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	defer stop()
	page, err := other.Log().Read(nodebus.LogQuery{Prompts: []string{"p"}, UpTo: last.ID})
	require.NoError(t, err)
	require.NotEmpty(t, page.Events)
	for page.More {
		page, err = other.Log().Read(nodebus.LogQuery{Prompts: []string{"p"}, UpTo: last.ID, After: page.Events[len(page.Events)-1].ID})
		require.NoError(t, err)
	}
	require.Equal(t, strconv.Itoa(n-1), page.Events[len(page.Events)-1].Payload.(nodebus.ProgressText).UniqueID)
}
