package comfy_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// TestConnectAtTheVeryEnd: sockets of a client without cursors connect at the very moment
// when the client's prompt ends. Each socket receives the whole prompt with its end, or
// nothing of it, but never a beginning without an end.
func TestConnectAtTheVeryEnd(t *testing.T) {
	h := newHost(t, &comfy.Options{HeadStart: -1})
	const rounds, sockets = 150, 8
	watcher := h.dial("clientId=watcher", nil)
	whole, nothing := 0, 0
	for round := range rounds {
		client, name := fmt.Sprint("client ", round), fmt.Sprint("gate ", round)
		id := h.submit(client, waitFor(name))
		watcher.say(`{"type":"nodebus.watch","data":{"prompt_id":"` + id + `"}}`)
		watcher.until("executing 1")
		got := make([][]string, sockets)
		var all sync.WaitGroup
		connected := make(chan *socket, sockets)
		for i := range sockets {
			all.Go(func() {
				s, err := h.tryDial(client)
				if err != nil {
					t.Error(err)
					connected <- nil
					return
				}
				connected <- s
				for {
					m, err := s.read()
					if err != nil || m.short() == "spoken mark" {
						break
					}
					got[i] = append(got[i], m.short())
				}
				_ = s.c.CloseNow()
			})
			if i == sockets/2 {
				all.Go(func() { h.gate.open(name) })
			}
		}
		for range sockets {
			require.NotNil(t, <-connected)
		}
		watcher.until("executing <nil>")
		h.mark(client)
		all.Wait()
		for _, all := range got {
			require.NotEmpty(t, all)
			require.Contains(t, all[0], "status")
			if all = without(all, "status", "progress_state"); len(all) == 0 {
				nothing++
				continue
			}
			whole++
			if all[0] == "executing 1" { // the greeting
				all = all[1:]
			}
			require.Equal(t, allEvents, all)
		}
	}
	t.Logf("%d sockets: %d received the whole prompt, %d nothing of it", rounds*sockets, whole, nothing)
	require.Equal(t, rounds*sockets, whole+nothing)
}
