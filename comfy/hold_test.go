package comfy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// heldWriter is an answer whose Write waits until the test sends to let.
type heldWriter struct {
	*httptest.ResponseRecorder
	began chan struct{}
	let   chan error
}

func (w *heldWriter) Write(p []byte) (int, error) {
	close(w.began)
	if err := <-w.let; err != nil {
		return 0, err
	}
	return w.ResponseRecorder.Write(p)
}

// TestEventsAfterTheAnswer: a client receives the answer, which contains the id,
// before the first event of its prompt, even if the answer takes long. The prompt
// also runs if the answer never arrives.
func TestEventsAfterTheAnswer(t *testing.T) {
	for name, end := range map[string]error{"answered": nil, "client gone": errors.New("broken pipe")} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil)
			s := h.connect("me")
			s.next()
			w := &heldWriter{httptest.NewRecorder(), make(chan struct{}), make(chan error)}
			answered := make(chan struct{})
			ctx, leave := context.WithCancel(t.Context())
			go func() {
				defer close(answered)
				body := `{"client_id":"me","prompt_id":"held","prompt":{"1":{"class_type":"RefOutput","inputs":{"value":1}}}}`
				r := httptest.NewRequestWithContext(ctx, "POST", h.url+"/prompt", strings.NewReader(body))
				h.server.ServeHTTP(w, r)
			}()
			<-w.began
			if end != nil {
				leave()
			}
			h.ended(h.submit("other", quick)) // the engine still runs other prompts
			require.NoError(t, h.hub.Broadcast(spoken{Text: "still held"}))
			for _, m := range s.until("spoken still held") {
				require.Regexp(t, "^(status|spoken)", m, "of the prompt nothing is said yet")
			}
			require.Equal(t, "held", at(t, h.get("/queue"), "queue_pending", 0, 1))

			w.let <- end
			<-answered
			require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "executed 1", "execution_success", "executing <nil>"},
				without(s.until("executing <nil>"), "status", "progress_state"))
			leave()
		})
	}
}

// deadlineWriter records the write deadlines that the handler sets.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (w *deadlineWriter) SetWriteDeadline(at time.Time) error {
	w.deadlines = append(w.deadlines, at)
	return nil
}

// TestAnswerHasADeadline: a client that does not read its answer, which may be
// long, does not delay its later prompts for ever.
func TestAnswerHasADeadline(t *testing.T) {
	h := newHost(t, nil)
	w := &deadlineWriter{httptest.NewRecorder(), nil}
	body := `{"client_id":"me","prompt":` + three + `}`
	h.server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", h.url+"/prompt", strings.NewReader(body)))
	require.Equal(t, 200, w.Code)
	require.Len(t, w.deadlines, 2)
	require.WithinDuration(t, time.Now().Add(time.Minute), w.deadlines[0], 30*time.Second)
	require.Zero(t, w.deadlines[1], "the next answer has none")
}

// TestHeldPromptIsInterrupted: a held prompt can be ended like any other prompt.
func TestHeldPromptIsInterrupted(t *testing.T) {
	h := newHost(t, nil)
	w := &heldWriter{httptest.NewRecorder(), make(chan struct{}), make(chan error)}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r := httptest.NewRequestWithContext(t.Context(), "POST", h.url+"/prompt", strings.NewReader(`{"prompt_id":"held","prompt":`+quick+`}`))
		h.server.ServeHTTP(w, r)
	}()
	<-w.began
	require.Equal(t, http.StatusOK, h.post("/interrupt", `{"prompt_id":"held"}`).status)
	require.Equal(t, []string{"execution_interrupted", "executing <nil>"}, without(h.ended("held"), "status"))
	w.let <- nil
	<-answered
	require.Equal(t, "error", at(t, h.get("/history/held"), "held", "status", "status_str"))
	require.EqualValues(t, 0, at(t, h.get("/prompt"), "exec_info", "queue_remaining"))
}

// TestGoneBeforeTheAnswer: a client closes its connection before the answer. Its
// prompt runs nevertheless. The test uses a real connection.
func TestGoneBeforeTheAnswer(t *testing.T) {
	h := newHost(t, nil)
	watcher := h.dial("watch=gone", nil)
	watcher.next()
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	require.NoError(t, err)
	body := `{"client_id":"me","prompt_id":"gone","prompt":` + quick + `}`
	_, err = fmt.Fprintf(c, "POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Contains(t, watcher.until("executing <nil>"), "execution_success")
	require.Contains(t, h.get("/history/gone"), "gone")
}
