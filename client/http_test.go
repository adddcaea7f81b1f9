package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// requests are all methods that make a request.
var requests = map[string]func(ctx context.Context, c *client.Client) error{
	"Submit":    func(ctx context.Context, c *client.Client) error { _, err := c.Submit(ctx, node("Say")); return err },
	"Outcome":   func(ctx context.Context, c *client.Client) error { _, err := c.Outcome(ctx, "p"); return err },
	"History":   func(ctx context.Context, c *client.Client) error { _, err := c.History(ctx, 1); return err },
	"Queue":     func(ctx context.Context, c *client.Client) error { _, _, err := c.Queue(ctx); return err },
	"State":     func(ctx context.Context, c *client.Client) error { _, err := c.State(ctx, "p"); return err },
	"Delete":    func(ctx context.Context, c *client.Client) error { return c.Delete(ctx, "p") },
	"Interrupt": func(ctx context.Context, c *client.Client) error { return c.Interrupt(ctx, "p") },
	"Answer":    func(ctx context.Context, c *client.Client) error { return c.Answer(ctx, "p", "1", "q", 1) },
	"Refuse":    func(ctx context.Context, c *client.Client) error { return c.Refuse(ctx, "p", "1", "q", "") },
	"File": func(ctx context.Context, c *client.Client) error {
		body, err := c.File(ctx, nodebus.File{Filename: "a.png"})
		if err == nil {
			err = body.Close()
		}
		return err
	},
}

// responder returns a client whose requests are answered by f.
func responder(t *testing.T, opts client.Options, f http.HandlerFunc) *client.Client {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	opts.BaseURL = s.URL + "/some/where"
	return dial(t, newSite(t, nil).URL, &opts)
}

// TestRefusals: each request that is refused tells the server's text.
func TestRefusals(t *testing.T) {
	for name, answer := range map[string]struct {
		status     int
		body, text string
	}{
		"text":          {403, `{"error":"not yours"}`, "not yours"},
		"problem":       {503, `{"error":{"type":"queue_full","message":"The queue is full","details":"try again later","extra_info":{}},"node_errors":{}}`, "The queue is full: try again later"},
		"plain":         {500, "500 Internal Server Error\n\nServer got itself in trouble", "500 Internal Server Error\n\nServer got itself in trouble"},
		"page":          {502, "<html><h1>Bad Gateway</h1></html>", "<html><h1>Bad Gateway</h1></html>"},
		"nothing":       {404, "", "Not Found"},
		"other JSON":    {422, `{"detail":[{"msg":"missing"}]}`, `{"detail":[{"msg":"missing"}]}`},
		"NaN":           {400, `{"error":"bad","x":NaN}`, "bad"},
		"much":          {500, strings.Repeat("x", 10<<20), strings.Repeat("x", 1<<10)},
		"much JSON":     {500, `{"error":"` + strings.Repeat("é", 1<<20) + `"}`, strings.Repeat("é", 1<<9)},
		"sign in":       {401, `{"error":"sign in first"}`, "sign in first"},
		"not a problem": {400, `{"error":{"type":7},"node_errors":[]}`, `{"error":{"type":7},"node_errors":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			c := responder(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(answer.status)
				_, _ = w.Write([]byte(answer.body))
			})
			for method, request := range requests {
				var refused *client.RefusedError
				err := request(t.Context(), c)
				require.ErrorAs(t, err, &refused, method)
				require.Equal(t, answer.status, refused.Status)
				require.ErrorContains(t, err, answer.text, method)
				require.LessOrEqual(t, len(err.Error()), 1<<10+100)
				require.Equal(t, answer.status == 401, errors.Is(err, nodebus.ErrUnauthenticated))
			}
		})
	}
}

// TestAnswersThatAreNoJSON: a page that is sent with status 200, for example by a proxy.
func TestAnswersThatAreNoJSON(t *testing.T) {
	for _, body := range []string{"", "<html>sign in</html>", "[1", `"text"`, "7", "\xff\xfe" + strings.Repeat("x", 1<<20)} {
		c := responder(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		for _, method := range []string{"Submit", "Outcome", "History", "Queue", "State"} {
			err := requests[method](t.Context(), c)
			require.ErrorContains(t, err, "the server's answer is not the expected JSON", "%s %q", method, body)
			require.Less(t, len(err.Error()), 1000)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	c := responder(t, client.Options{ReadLimit: 1000}, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = w.Write(make([]byte, 100))
		}
	})
	for method, request := range requests {
		if method == "File" {
			continue // the caller reads it
		}
		require.ErrorContains(t, request(t.Context(), c), "the server's answer has more than 1000 bytes; raise Options.ReadLimit", method)
	}
}

func TestNoServer(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	c := dial(t, newSite(t, nil).URL, &client.Options{BaseURL: gone.URL + "?token=secret"})
	for method, request := range requests {
		err := request(t.Context(), c)
		require.ErrorContains(t, err, "connection refused", method)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := client.Dial(t.Context(), gone.URL, &client.Options{BaseURL: "http://a b/"})
	require.ErrorContains(t, err, "client: Options.BaseURL: ")
}

func TestRequestsEndWithTheirContext(t *testing.T) {
	began := make(chan struct{}, 1)
	c := responder(t, client.Options{}, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // only then does the server see that the client is gone
		began <- struct{}{}
		<-r.Context().Done()
	})
	why := errors.New("enough")
	for method, request := range requests {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-began
			cancel(why)
		}()
		require.ErrorIs(t, request(ctx, c), why, method)
	}
}

// TestRequestsCarryTheHeader: each request has the headers, the query of the base URL, and
// the path below it.
func TestRequestsCarryTheHeader(t *testing.T) {
	var asked *http.Request
	c := responder(t, client.Options{Header: http.Header{"Token": {"secret"}}}, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		_, _ = w.Write([]byte("{}"))
	})
	for method, path := range map[string]string{
		"Submit": "/some/where/prompt", "Outcome": "/some/where/history/p", "History": "/some/where/history",
		"Queue": "/some/where/queue", "Delete": "/some/where/queue", "Interrupt": "/some/where/interrupt", "File": "/some/where/view",
		"Answer": "/some/where/nodebus/answer", "State": "/some/where/nodebus/runs/p",
	} {
		_ = requests[method](t.Context(), c)
		require.Equal(t, path, asked.URL.Path, method)
		require.Equal(t, "secret", asked.Header.Get("Token"))
	}
}

// TestUnauthenticated: package comfy refuses a client without a token.
func TestUnauthenticated(t *testing.T) {
	s := newHost(t, &comfy.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		if r.Header.Get("Token") == "" {
			return nodebus.Grant{}, nodebus.ErrUnauthenticated
		}
		return nodebus.Grant{}, nil
	}})
	c := dial(t, newSite(t, nil).URL, &client.Options{BaseURL: s.URL})
	for method, request := range requests {
		err := request(t.Context(), c)
		require.ErrorIs(t, err, nodebus.ErrUnauthenticated, method)
		require.ErrorContains(t, err, nodebus.ErrUnauthenticated.Error())
	}
}

// roundTrip is a transport that answers requests itself.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func textResponse(r *http.Request, body string) *http.Response {
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
