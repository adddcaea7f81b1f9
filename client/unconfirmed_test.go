package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestSubmitUnconfirmed: with a status from 500, the prompt may run nevertheless, unless the
// queue was full. Submit returns its id then, and Wait finds out.
func TestSubmitUnconfirmed(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		runs   bool
	}{
		"the queue does not answer": {503, `{"error":{"type":"not_accepted","message":"The queue has not confirmed the prompt","details":"","extra_info":{}},"node_errors":{},"prompt_id":"x"}`, true},
		"a proxy":                   {504, `<html>gateway timeout</html>`, true},
		"the queue is full":         {503, `{"error":{"type":"queue_full","message":"The queue is full","details":"","extra_info":{}},"node_errors":{}}`, false},
		"refused":                   {400, `{"error":{"type":"no_prompt","message":"No prompt","details":"","extra_info":{}},"node_errors":{}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil)
			inner := h.Config.Handler
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != "/prompt" {
					inner.ServeHTTP(w, r)
					return
				}
				if c.runs {
					inner.ServeHTTP(httptest.NewRecorder(), r)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			t.Cleanup(front.Close)
			conn := dial(t, front.URL+"/ws", nil)
			id, err := conn.Submit(t.Context(), node("Say"))
			var refused *client.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.status, refused.Status)
			require.NotErrorIs(t, err, nodebus.ErrClosed)
			if !c.runs {
				require.Empty(t, id)
				return
			}
			require.Len(t, id, 36)
			o, err := conn.Wait(deadline(t), id)
			require.NoError(t, err)
			require.Equal(t, nodebus.Succeeded, o.State)
		})
	}
}
