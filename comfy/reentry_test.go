package comfy_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// calling is a feature flag whose encoding calls code of the host program.
type calling func()

func (f calling) MarshalJSON() ([]byte, error) {
	f()
	return []byte("true"), nil
}

// TestFlagsMayAskTheServer: the encoding of a feature flag sends requests to the
// server. The server holds no lock that the requests could need.
func TestFlagsMayAskTheServer(t *testing.T) {
	var h *host
	h = newHost(t, &comfy.Options{Features: map[string]any{"odd": calling(func() {
		h.dial("clientId=me2", nil).close()
		require.Equal(t, 200, h.subscribe("me", true).status)
	})}})
	s := h.connect("me")
	s.next()
	s.say(`{"type":"feature_flags"}`)
	require.Equal(t, true, s.next().Data["odd"])
}

// TestQueueMayAskTheServer: a queue sends a request to the server while the server
// asks the queue for the first priority.
func TestQueueMayAskTheServer(t *testing.T) {
	q := &listedQueue{Queue: flow.NewQueue(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Queue: q})
	q.listed = func() { h.ended(h.submit("other", quick, `"front":true`)) }
	require.Contains(t, h.ended(h.submit("me", quick, `"front":true`)), "execution_success")
}

// TestSettingsOfASlowClient: a client that does not read its answer does not delay
// the settings of other clients.
func TestSettingsOfASlowClient(t *testing.T) {
	h := newHost(t, nil)
	w := &heldWriter{httptest.NewRecorder(), make(chan struct{}), make(chan error)}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		body := strings.NewReader(`"` + strings.Repeat("x", 9<<20) + `"`) // too large
		h.server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", h.url+"/settings/a", body))
	}()
	<-w.began
	require.Equal(t, 200, h.post("/settings/b", `1`).status)
	w.let <- nil
	<-answered
	require.Equal(t, 413, w.Code)
}
