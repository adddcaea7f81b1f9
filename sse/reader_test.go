package sse_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// note is an event of the tests.
type note struct{ N int }

func (note) EventType() string { return "test.note" }

// received is an event as a client sees it.
type received struct {
	id   string // the last event id after the event
	Type string
	Data json.RawMessage
	// The envelope.
	Cursor   string
	PromptID string `json:"prompt_id"`
	Time     int64
}

// reader reads a stream of events by the rules of the HTML standard.
type reader struct {
	r        *bufio.Reader
	header   http.Header
	id       string
	retry    string
	comments []string
	close    func()
}

func newReader(r io.Reader) *reader { return &reader{r: bufio.NewReaderSize(r, 4<<10)} }

// block reads lines up to the end of an event with data, and returns the data.
func (s *reader) block() (data string, err error) {
	var lines []string
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n" && lines != nil:
			return strings.Join(lines, "\n"), nil
		case line == "\n":
		case name == "data":
			lines = append(lines, value)
		case name == "id":
			s.id = value
		case name == "retry":
			s.retry = value
		case name == "":
			s.comments = append(s.comments, value)
		default:
			return "", errors.New("unknown field " + line)
		}
	}
}

// next reads an event.
func (s *reader) next() (ev received, err error) {
	data, err := s.block()
	if err == nil {
		err = json.Unmarshal([]byte(data), &ev)
	}
	ev.id = s.id
	return ev, err
}

// must reads an event.
func (s *reader) must(t *testing.T) received {
	t.Helper()
	ev, err := s.next()
	require.NoError(t, err)
	return ev
}

// types reads n events and returns their types. For notes it returns their data.
func (s *reader) types(t *testing.T, n int) (types []string) {
	t.Helper()
	for range n {
		ev := s.must(t)
		if ev.Type == "test.note" {
			ev.Type = string(ev.Data)
		}
		types = append(types, ev.Type)
	}
	return types
}

// end reads to the end of the response.
func (s *reader) end(t *testing.T) {
	t.Helper()
	_, err := s.next()
	require.ErrorIs(t, err, io.EOF)
}

// server is a hub with a handler, on a socket.
type server struct {
	hub *nodebus.Hub
	web *httptest.Server
}

// serve starts a server that ends with the test. wrap, if not nil, goes round the handler.
func serve(t *testing.T, opts *sse.Options, wrap func(http.Handler) http.Handler) *server {
	hub := nodebus.NewHub(nil)
	var h http.Handler = sse.New(hub, opts)
	if wrap != nil {
		h = wrap(h)
	}
	s := &server{hub, httptest.NewServer(h)}
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		s.web.Close()
	})
	return s
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	length int64
	text   string
}

// do sends a request and reads the whole response. header holds names and values.
func do(t *testing.T, c *http.Client, method, url string, header ...string) answer {
	t.Helper()
	res := request(t, c, method, url, header)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header, res.ContentLength, string(b)}
}

func get(t *testing.T, c *http.Client, url string, header ...string) answer {
	t.Helper()
	return do(t, c, http.MethodGet, url, header...)
}

// open connects to an address and reads the stream. header holds names and values.
func open(t *testing.T, c *http.Client, url string, header ...string) *reader {
	t.Helper()
	res := request(t, c, http.MethodGet, url, header)
	t.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(t, http.StatusOK, res.StatusCode)
	s := newReader(res.Body)
	s.header, s.close = res.Header, func() { _ = res.Body.Close() }
	return s
}

func request(t *testing.T, c *http.Client, method, url string, header []string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	require.NoError(t, err)
	return res
}

// open connects to the server.
func (s *server) open(t *testing.T, query string, header ...string) *reader {
	t.Helper()
	return open(t, s.web.Client(), s.web.URL+"/events"+query, header...)
}

// say sends notes of a prompt of the client "me".
func (s *server) say(t *testing.T, prompt string, notes ...int) {
	t.Helper()
	for _, n := range notes {
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: prompt, To: "me", Payload: note{n}}))
	}
}
