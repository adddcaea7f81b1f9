package nodebus_test

import (
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
