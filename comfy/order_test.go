package comfy_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHeldInOrder: the prompts of a client run in the order of submission, even if
// a later answer is written before the write of the first answer returns.
func TestHeldInOrder(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	w := &heldWriter{httptest.NewRecorder(), make(chan struct{}), make(chan error)}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		body := `{"client_id":"me","prompt_id":"first","prompt":` + quick + `}`
		h.server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", h.url+"/prompt", strings.NewReader(body)))
	}()
	<-w.began
	for _, id := range []string{"second", "third"} {
		h.submit("me", quick, `"prompt_id":"`+id+`"`)
	}
	h.ended(h.submit("other", quick)) // another client's prompt does not wait
	w.let <- nil
	<-answered

	var ended []any
	for len(ended) < 3 {
		if m := s.next(); m.Type == "execution_success" {
			ended = append(ended, m.Data["prompt_id"])
		}
	}
	require.Equal(t, []any{"first", "second", "third"}, ended)
}
