package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// FuzzAnswers: whatever a server answers, each request returns a value or an error with a
// short text.
func FuzzAnswers(f *testing.F) {
	for _, path := range []string{"/prompt", "/queue"} {
		for _, method := range []string{"GET", "POST"} {
			eachRecorded(f, method, path, func(_ string, r recorded) { f.Add(uint16(r.Status), string(r.Response)+r.Text) })
		}
	}
	f.Add(uint16(400), `{"error":{"type":"x","message":"é"},"node_errors":{"1":null,"2":7}}`)
	f.Add(uint16(200), `{"prompt_id":"p","node_errors":{"1":{"errors":[{"extra_info":{"a":NaN}}]}},"queue_pending":[[1,"a",{"1":{}},{},[1]]]}`)
	f.Add(uint16(200), `{"prompt_id":"p","nodes":{"1":{"state":"running"}},"order":["1","2"],"waiting":[null]}`)
	var status int
	var body string
	s := newSite(f, nil)
	through := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Upgrade") != "" {
			return http.DefaultTransport.RoundTrip(r)
		}
		res := textResponse(r, body)
		res.StatusCode = status
		return res, nil
	})
	c := dial(f, s.URL, &client.Options{HTTPClient: &http.Client{Transport: through}})
	f.Fuzz(func(t *testing.T, code uint16, text string) {
		status, body = int(code), text
		for method, request := range requests {
			err := request(t.Context(), c)
			if err == nil {
				continue
			}
			var refused *client.RefusedError
			var invalid *nodebus.ValidationError
			switch {
			case errors.As(err, &invalid):
				_, err := json.Marshal(invalid)
				require.NoError(t, err)
			case errors.As(err, &refused):
				require.LessOrEqual(t, len(refused.Text), 1<<10, method)
				require.NotEmpty(t, err.Error())
			}
		}
		if running, waiting, err := c.Queue(t.Context()); err == nil {
			for _, p := range append(running, waiting...) {
				_, err := json.Marshal(p)
				require.NoError(t, err)
			}
		}
		if run, err := c.State(t.Context(), "p"); err == nil {
			run.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.ExecutionStart{PromptID: "p"}})
		}
	})
}
