package client_test

import (
	"net/http"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestWaitAsksAgain: a server still lists a prompt whose end another server has told before.
// No event follows, so Wait asks again.
func TestWaitAsksAgain(t *testing.T) {
	bubbled(t, client.Options{PingInterval: -1}, "e-1", func(t *testing.T, c *client.Client, on *scripted, s *script) {
		var asked atomic.Int32
		before, after := history(&asked, "q", "p"), history(&asked, "p", "q")
		began := time.Now()
		s.serve(func(w http.ResponseWriter, r *http.Request) {
			if time.Since(began) < 10*time.Second {
				before(w, r)
				return
			}
			after(w, r)
		})
		go func() {
			on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"},"cursor":"e-2"}`)
			id := regexp.MustCompile(`"prompt_id":"([^"]*)"`).FindStringSubmatch(<-on.heard)[1]
			on.says(t, `{"type":"nodebus.watching","data":{"prompt_id":%q,"watching":false}}`, id)
		}()
		for ev, err := range c.Events(t.Context()) {
			require.NoError(t, err)
			if ev.PromptID == "p" {
				break
			}
		}
		_, err := c.Wait(t.Context(), "p")
		require.NoError(t, err)
		require.Less(t, time.Since(began), 20*time.Second) // of the bubble
	})
}
