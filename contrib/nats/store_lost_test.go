package nats_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestPutWithoutAnswer loses the answer to a Put: the record is stored once, and a copy of it that
// was sent again does not replace it. On a slow line, a Put that stored it again would never end.
func TestPutWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"small": "x", "large": strings.Repeat("x", 700<<10)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			s, opts := serve(t, t.TempDir(), port), nats.Options{Name: newName()}
			l := newLine()
			bus := openOn(t, l, fmt.Sprint("nats://127.0.0.1:", port), opts)
			put := func(extra string) error {
				return bus.Store().Put(t.Context(), flow.Record{
					Prompt: &nodebus.Prompt{ID: "p", Extra: map[string]any{"x": text + extra}}, State: nodebus.Succeeded,
				})
			}
			require.NoError(t, put("first"))
			newest := func() uint64 { return state(t, s, opts.Name+"_STORE").LastSeq }
			each := newest() // messages of a Put
			heard := l.deafAt("PUB " + opts.Name + "_STORE.ip.r")
			done := make(chan error, 1)
			go func() { done <- put("second") }()
			<-heard
			for newest() < 2*each {
				time.Sleep(time.Millisecond)
			}
			l.set(false, false)
			require.NoError(t, <-done)
			require.Equal(t, 2*each, newest())
		})
	}
}
