package nodebus_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

func TestStartDoesNotWait(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				s, p := h.Join("x", nil), newPausedTape()
				var told []error
				before := runtime.NumGoroutine()
				s.Start(t.Context(), asTransport(p, try), func(err error) { told = append(told, err) })
				say(t, h, "w")
				synctest.Wait()
				p.play()
				synctest.Wait()
				require.Equal(t, []string{"w"}, p.said(t))
				require.Equal(t, before, runtime.NumGoroutine(), "an idle session runs none")
				p.stop()
				say(t, h, "a write waits")
				synctest.Wait()
				require.Empty(t, told)
				s.Close(nodebus.ErrReplaced)
				s.Close(nil)
				synctest.Wait()
				require.Equal(t, []error{nodebus.ErrReplaced}, told)
				require.Equal(t, []error{nodebus.ErrReplaced}, p.closed)
				require.Equal(t, before, runtime.NumGoroutine())
			})
		})
	}
}

// quitter is a transport that takes the goroutine that writes with it.
type quitter struct{ *tape }

func (quitter) Write(context.Context, []nodebus.Frame) error {
	runtime.Goexit()
	return nil
}

func TestTransportThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := &tape{}
		over := serveOn(t, h.Join("x", nil), quitter{p})
		say(t, h, "w")
		require.ErrorContains(t, over(), "runtime.Goexit")
		require.Len(t, p.closed, 1)
	})
}
