package nats_test

import (
	"context"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestStrangePrompts publishes to the stream of the queue what no process of ours sends. The
// other prompts are taken, and all are listed.
func TestStrangePrompts(t *testing.T) {
	for name, header := range map[string]string{
		"sealed below zero":          `{"id":"evil","client":"e","size":2,"sealed":-1,"name":"n"}`,
		"sealed beyond the size":     `{"id":"evil","client":"e","size":2,"sealed":3,"name":"n"}`,
		"size below zero":            `{"id":"evil","client":"e","size":-5,"name":"n"}`,
		"more parts than possible":   `{"id":"evil","client":"e","size":2,"name":"n","parts":4611686018427387904}`,
		"parts that fill the memory": `{"id":"evil","client":"e","size":2,"name":"n","parts":10000000000}`,
		"parts that are not there":   `{"id":"evil","client":"e","size":2,"name":"n","parts":2}`,
		"parts below zero":           `{"id":"evil","client":"e","size":2,"name":"n","parts":-1}`,
		"no prompt":                  `{"id":"evil","client":"e","size":2,"name":"n"}`,
	} {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName(), SecretKey: make([]byte, 32)}
			q := open(t, shared, opts).Queue()
			m := natsgo.NewMsg(opts.Name + "_QUEUE.ievil.p")
			m.Header.Set("Nb-Meta", header)
			m.Data = []byte(`{[`)
			_, err := connect(t, shared).RequestMsg(m, time.Minute)
			require.NoError(t, err)
			pushAll(t, q, "a")
			require.NoError(t, nats.CatchUp(t.Context(), q))
			var ids []string
			for x, err := range q.List(t.Context()) {
				require.NoError(t, err)
				ids = append(ids, x.Prompt.ID)
			}
			require.Equal(t, []string{"evil", "a"}, ids, "whoever sees the id can delete the prompt")
			require.NoError(t, takeFrom(t, q, "a", 1).Done(t.Context()))
			_, err = q.Delete(t.Context(), "evil")
			require.NoError(t, err)
			pushAll(t, q, "evil")
		})
	}
}

// TestStrangeRecords does the same with the store.
func TestStrangeRecords(t *testing.T) {
	for name, header := range map[string]string{
		"many parts": `{"id":"evil","size":9000000000000000000,"name":"n","parts":65536}`,
		"place":      `{"id":"evil","place":18446744073709551615,"size":2,"name":"n"}`,
		"size":       `{"id":"evil","size":9223372036854775807,"name":"n"}`,
		"none":       ``,
	} {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			bus := open(t, shared, opts)
			nc := connect(t, shared)
			m := natsgo.NewMsg(opts.Name + "_STORE.ievil.r")
			if header != "" {
				m.Header.Set("Nb-Meta", header)
			}
			m.Data = []byte(`{[`)
			_, err := nc.RequestMsg(m, 5*time.Second)
			require.NoError(t, err)
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			for _, id := range []string{"a", "b", "c"} {
				require.NoError(t, bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: id}, State: nodebus.Succeeded}))
			}
			n := 0
			for _, err := range bus.Store().List(ctx) {
				require.NoError(t, err)
				n++
			}
			require.Equal(t, 3, n)
		})
	}
}

// TestStrangeSignals does the same with the signals.
func TestStrangeSignals(t *testing.T) {
	t.Parallel()
	opts := nats.Options{Name: newName()}
	bus := open(t, shared, opts)
	nc := connect(t, shared)
	got := make(chan flow.Signal, 100)
	_, err := bus.Signals().Receive("a", func(s flow.Signal) error { got <- s; return nil })
	require.NoError(t, err)
	for _, text := range []string{
		``, `{`, `null`, `{"id":"1"}`, `{"id":"1","signal":null}`, `{"drop":true,"up_to":18446744073709551615}`,
		`{"id":"x","void":true,"refused":true,"drop":true}`, `{"id":"2","signal":{}}`, `{"id":"3","signal":{"prompt_id":"other","interrupt":true}}`,
	} {
		for _, subject := range []string{".kept.ia", ".ask.ia", ".kept.zz"} {
			m := natsgo.NewMsg(opts.Name + "_SIGNALS" + subject)
			m.Data = []byte(text)
			_, _ = nc.RequestMsg(m, 300*time.Millisecond)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	require.NoError(t, bus.Signals().Send(ctx, flow.Signal{PromptID: "a", Node: "last"}))
	for s := range got {
		t.Logf("%+v", s)
		if s.Node == "last" {
			break
		}
	}
}
