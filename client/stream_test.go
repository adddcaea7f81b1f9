package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/sse"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// newStreams starts a server for Server-Sent Events at /events.
func newStreams(t *testing.T, opts *sse.Options) (*site, *cutter) {
	hub := nodebus.NewHub(nil)
	mux := http.NewServeMux()
	mux.Handle("/events", sse.New(hub, opts))
	srv := httptest.NewUnstartedServer(mux)
	cut := &cutter{Listener: srv.Listener}
	srv.Listener = cut
	srv.Start()
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		srv.Close()
	})
	return &site{srv, hub}, cut
}

func stream(t *testing.T, s *site, opts client.Options) *client.Client {
	t.Helper()
	opts.SSE = true
	return listening(dial(t, s.URL+"/events", &opts))
}

// TestStreamHasTheSameEvents: what a client receives over Server-Sent Events is what it
// receives over a WebSocket, binary events included.
func TestStreamHasTheSameEvents(t *testing.T) {
	s, _ := newStreams(t, nil)
	sockets := httptest.NewServer(ws.New(s.hub, nil))
	defer sockets.Close()
	a := stream(t, s, client.Options{ID: "me", Header: http.Header{"X": {"y"}}})
	b := listening(dial(t, sockets.URL, &client.Options{ID: "me"}))
	require.Equal(t, b.Cursor(), a.Cursor())
	at := nodebus.Place{UniqueID: "1.2", DisplayID: "1", ParentID: "1", RealID: "1"}
	all := []nodebus.Payload{
		ticked{1},
		nodebus.Custom{Type: "text", Data: "\u2028 \n \r\n data: x"},
		nodebus.Preview{Place: at, PromptID: "p", ImageType: "image/png", Image: []byte("\x89PNG\x00\n\r")},
		nodebus.Preview{Place: nodebus.Place{UniqueID: "2"}.WithDefaults(), PromptID: "p", ImageType: "image/jpeg", Image: []byte{0}},
		nodebus.ProgressText{UniqueID: "1", Text: "half\ndone"},
		nodebus.ProgressText{},
		nodebus.Custom{Type: "77", Data: []byte{1, 2, 3, 0}},
		nodebus.Custom{Type: "78", Data: []byte{}},
		nodebus.Custom{Type: "79", Data: map[string]int{"text": 1}},
		nodebus.Custom{Type: "progress_text_of_mine", Data: map[string]string{"x": "y"}},
		nodebus.Waiting{Place: at, PromptID: "p", Name: "ok", Schema: json.RawMessage(`{}`)},
		nodebus.Executing{UniqueID: "1", PromptID: "p"},
		ticked{2},
	}
	for _, p := range all {
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Attempt: 3, Payload: p}))
	}
	var got [2][]nodebus.Event
	for i, c := range []*client.Client{a, b} {
		for ev, err := range c.Events(deadline(t)) {
			require.NoError(t, err)
			if got[i] = append(got[i], ev); ev.Payload == (ticked{2}) {
				break
			}
		}
	}
	require.Len(t, got[0], len(all))
	require.Equal(t, got[1], got[0])
	require.Equal(t, all[2], got[0][2].Payload)
	require.Equal(t, b.Cursor(), a.Cursor())
}

// TestStreamResumes: every connection is cut after some events. The client misses nothing,
// and receives nothing twice.
func TestStreamResumes(t *testing.T) {
	s, cut := newStreams(t, nil)
	c := stream(t, s, client.Options{ID: "me", Retry: time.Millisecond})
	const n = 200
	go func() {
		for i := range n {
			if i%20 == 10 {
				cut.all()
			}
			_ = s.hub.SendSync(ticked{i}, "me")
		}
	}()
	next := 0
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		if p, ok := ev.Payload.(ticked); ok {
			require.Equal(t, next, p.Step)
			if next++; next == n {
				break
			}
		}
	}
	require.Equal(t, n, next)
}

// TestStreamWatches: Watch and Unwatch connect again. They may be called while nobody reads
// and beside loops.
func TestStreamWatches(t *testing.T) {
	for name, beside := range map[string]bool{"nobody reads": false, "beside a loop": true} {
		for _, retry := range []time.Duration{time.Hour, -1} {
			t.Run(name, func(t *testing.T) {
				s, _ := newStreams(t, nil)
				c := stream(t, s, client.Options{ID: "me", Retry: retry})
				steps := make(chan string, 100)
				client.On(c, func(ev nodebus.Event, p ticked) { steps <- fmt.Sprint(ev.PromptID, p.Step) })
				ctx, cancel := context.WithCancel(deadline(t))
				ended := make(chan error, 1)
				if beside {
					go func() { ended <- c.Run(ctx) }()
				}
				require.NoError(t, c.Watch(deadline(t), "p"))
				require.NoError(t, c.Watch(deadline(t), "q"))
				require.NoError(t, c.Watch(deadline(t), "q"))
				says(t, s.hub, "p", 1)
				says(t, s.hub, "q", 2)
				require.NoError(t, s.hub.SendSync(ticked{3}, "me"))
				if !beside {
					go func() { ended <- c.Run(ctx) }()
				}
				require.Equal(t, "p1", <-steps)
				require.Equal(t, "q2", <-steps)
				require.Equal(t, "3", <-steps)
				require.NoError(t, c.Unwatch(deadline(t), "p"))
				says(t, s.hub, "p", 4)
				says(t, s.hub, "q", 5)
				require.Equal(t, "q5", <-steps)
				cancel()
				require.ErrorIs(t, <-ended, context.Canceled)
			})
		}
	}
}

// TestManyWatchesOverAStream: they come while the client connects for others.
func TestManyWatchesOverAStream(t *testing.T) {
	s, _ := newStreams(t, nil)
	c := stream(t, s, client.Options{ID: "me", Retry: time.Hour})
	answers := make(chan error)
	for i := range 50 {
		go func() { answers <- c.Watch(deadline(t), fmt.Sprint("p", i)) }()
	}
	for range 50 {
		require.NoError(t, <-answers)
	}
	for i := range 50 {
		says(t, s.hub, fmt.Sprint("p", i), i)
	}
	require.Len(t, words(t, c, 49), 50)
}

// TestWatchWhileAStreamConnects: the client connects once more for a prompt that the request
// on its way does not name.
func TestWatchWhileAStreamConnects(t *testing.T) {
	var requests atomic.Int32
	var release chan struct{}
	h := func(hub *nodebus.Hub) http.Handler {
		streams := sse.New(hub, nil)
		release = make(chan struct{})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 2 {
				<-release
			}
			streams.ServeHTTP(w, r)
		})
	}
	onPipes(t, h, func(t *testing.T, p *pipes) {
		c := listening(p.dial(t, client.Options{ID: "me", SSE: true, Retry: -1}))
		answers := make(chan error, 2)
		for _, id := range []string{"p", "q"} {
			go func() { answers <- c.Watch(t.Context(), id) }()
			synctest.Wait()
		}
		require.EqualValues(t, 2, requests.Load())
		require.Empty(t, answers)
		close(release)
		require.NoError(t, <-answers)
		require.NoError(t, <-answers)
		require.EqualValues(t, 3, requests.Load())
		says(t, p.hub, "p", 1)
		says(t, p.hub, "q", 2)
		require.Equal(t, []string{"p1", "q2"}, words(t, c, 2))
	})
}

// TestStreamIsRefused: the error has the status and the text of the server.
func TestStreamIsRefused(t *testing.T) {
	var refused *client.RefusedError
	for name, k := range map[string]struct {
		answer http.HandlerFunc
		status int // 0: it is not a refusal
		text   string
	}{
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, 403, "no"},
		"the end":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, 204, ""},
		"no stream": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, 0, `"text/html" instead of a stream of events`},
		"failure":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, 0, "status 502"},
		"silence": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
		}, 0, "waiting for the server's first message"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(k.answer)
			defer srv.Close()
			_, err := client.Dial(t.Context(), srv.URL, &client.Options{SSE: true})
			if k.status == 0 {
				require.NotErrorAs(t, err, &refused)
				require.ErrorContains(t, err, k.text)
				return
			}
			require.ErrorAs(t, err, &refused)
			require.Equal(t, k.status, refused.Status)
			require.Equal(t, k.text, refused.Text)
		})
	}
	_, err := client.Dial(t.Context(), "ws://127.0.0.1:1/events", &client.Options{SSE: true})
	require.ErrorContains(t, err, "http://127.0.0.1:1/events", "the scheme of a socket is understood")
}

// TestStreamPreviews: a preview whose image the server no longer has, or that is somewhere
// else, is left out. The other events arrive.
func TestStreamPreviews(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another server was asked") }))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("preview") {
			if r.Header.Get("X") != "y" {
				t.Error("the request for an image has no header of the client")
			}
			if r.URL.Query().Get("preview") == "gone" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte("image"))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"type\":\"status\",\"data\":{\"status\":{\"exec_info\":{\"queue_remaining\":0}},\"sid\":\"me\"}}\n\n")
		for i, url := range []string{"?preview=a", "?preview=gone", elsewhere.URL + "?preview=b", "//" + strings.TrimPrefix(elsewhere.URL, "http://"), "?preview=c"} {
			fmt.Fprintf(w, "id: e-%d\ndata: {\"type\":\"b_preview_with_metadata\",\"data\":{\"node_id\":\"%d\",\"url\":%q},\"cursor\":\"e-%d\"}\n\n", i, i, url, i)
		}
		fmt.Fprint(w, "data: {\"type\":\"n\",\"data\":{}}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer srv.Close()
	var log strings.Builder
	c := dial(t, srv.URL, &client.Options{SSE: true, Header: http.Header{"X": {"y"}}, Logger: logTo(&log)})
	got := payloads(t, c, 3)
	require.Equal(t, "image", string(got[0].(nodebus.Preview).Image))
	require.Equal(t, "4", got[1].(nodebus.Preview).UniqueID)
	require.Equal(t, "n", got[2].EventType())
	require.Equal(t, 3, strings.Count(log.String(), "message skipped"))
	require.NoError(t, c.Close())
}
