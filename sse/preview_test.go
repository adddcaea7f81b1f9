package sse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

func preview(typ, image string) nodebus.Event {
	return nodebus.Event{PromptID: "p", To: "me", Payload: nodebus.Preview{
		Place: nodebus.Place{UniqueID: "7.1", DisplayID: "7", RealID: "7", ParentID: "7"}, PromptID: "p", ImageType: typ, Image: []byte(image),
	}}
}

// shown is the data of a preview.
type shown struct {
	Type string `json:"image_type"`
	URL  string
}

// mustShow reads a preview and returns the address of its image.
func (s *reader) mustShow(t *testing.T, stream string) string {
	t.Helper()
	ev := s.must(t)
	require.Equal(t, "b_preview_with_metadata", ev.Type)
	var d shown
	require.NoError(t, json.Unmarshal(ev.Data, &d))
	base, err := url.Parse(stream)
	require.NoError(t, err)
	at, err := base.Parse(d.URL)
	require.NoError(t, err)
	return at.String()
}

func TestBinaryEventsAreText(t *testing.T) {
	s := serve(t, nil, nil)
	live := s.open(t, "?clientId=me")
	first := live.must(t)
	say := func(p nodebus.Payload) {
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: p}))
	}
	require.NoError(t, s.hub.Publish(preview("image/png", "\x00image\n\n")))
	say(nodebus.ProgressText{UniqueID: "7", Text: "line\nline"})
	say(nodebus.Custom{Type: "1000", Data: []byte("\x00\xff")})
	back := s.open(t, "?clientId=me", "Last-Event-ID", first.id)
	back.must(t)
	for _, r := range []*reader{live, back} {
		ev := r.must(t)
		require.Equal(t, "b_preview_with_metadata", ev.Type)
		require.Equal(t, "p", ev.PromptID)
		require.Equal(t, ev.Cursor, ev.id)
		require.NotZero(t, ev.Time)
		var d map[string]any
		require.NoError(t, json.Unmarshal(ev.Data, &d))
		require.Regexp(t, `^\?preview=[0-9a-f]{32}$`, d["url"])
		delete(d, "url")
		require.Equal(t, map[string]any{
			"node_id": "7.1", "display_node_id": "7", "real_node_id": "7", "parent_node_id": "7", "prompt_id": "p", "image_type": "image/png",
		}, d)
		for _, want := range []string{`{"node_id":"7","text":"line\nline"}`, `{"base64":"AP8="}`} {
			ev = r.must(t)
			require.JSONEq(t, want, string(ev.Data))
			require.Equal(t, "p", ev.PromptID)
		}
		require.Equal(t, "1000", ev.Type)
	}
}

func TestPreviewIsServed(t *testing.T) {
	image := "\x00\n\n" + string(bytes.Repeat([]byte("0123456789\x00"), 10000))
	s := serve(t, &sse.Options{
		Origins: []string{"app.example.com"},
		Authorize: func(r *http.Request) (nodebus.Grant, error) {
			if r.URL.Query().Get("token") != "secret" {
				return nodebus.Grant{}, errors.New("no token")
			}
			return nodebus.Grant{Client: "me"}, nil
		},
	}, nil)
	stream := s.web.URL + "/events?token=secret"
	r := open(t, s.web.Client(), stream)
	r.must(t)
	for _, c := range []struct{ typ, served string }{
		{"image/png", "image/png"},
		{"image/jpeg", "image/jpeg"},
		{"image/svg+xml", "application/octet-stream"}, // may contain scripts
		{"text/html", "application/octet-stream"},
		{"", "application/octet-stream"},
	} {
		require.NoError(t, s.hub.Publish(preview(c.typ, c.typ+image)))
		at := r.mustShow(t, stream)
		res := get(t, s.web.Client(), at, "Origin", "https://app.example.com")
		require.Equal(t, http.StatusOK, res.status)
		require.Equal(t, c.typ+image, res.text)
		require.Equal(t, c.served, res.header.Get("Content-Type"))
		require.Equal(t, "nosniff", res.header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", res.header.Get("Cache-Control"))
		require.Equal(t, "https://app.example.com", res.header.Get("Access-Control-Allow-Origin"))
		res = do(t, s.web.Client(), http.MethodHead, at)
		require.EqualValues(t, len(c.typ+image), res.length)
		require.Empty(t, res.text)
		res = get(t, s.web.Client(), at, "Sec-Fetch-Site", "cross-site") // <img> on a page of another host
		require.Equal(t, http.StatusOK, res.status)
		require.Equal(t, http.StatusNotFound, get(t, s.web.Client(), at[:len(at)-1]).status)
	}
}

// TestEachHandlerServesItsPreviews joins clients to one hub by two handlers, which share
// the wire form of events.
func TestEachHandlerServesItsPreviews(t *testing.T) {
	s := serve(t, nil, nil)
	other := httptest.NewServer(sse.New(s.hub, nil))
	defer other.Close()
	defer s.hub.Close()
	var streams []*reader
	for _, at := range []string{s.web.URL, other.URL, s.web.URL} {
		r := open(t, http.DefaultClient, at+"?clientId=me")
		r.must(t)
		streams = append(streams, r)
	}
	require.NoError(t, s.hub.Publish(preview("image/png", "a")))
	for i, at := range []string{s.web.URL, other.URL, s.web.URL} {
		require.Equal(t, "a", get(t, http.DefaultClient, streams[i].mustShow(t, at)).text)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestImagesInOneWrite: the bytes of one write hold lines and images in any order, and two
// clients receive the same bytes.
func TestImagesInOneWrite(t *testing.T) {
	const text, a, b = "text", "a", "b"
	for _, order := range [][]string{{text}, {a}, {text, a}, {a, text}, {a, b}, {text, a, text, b, text}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			made := make(chan sse.Transport, 1)
			h := sse.New(nodebus.NewHub(nil), nil)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("preview") {
					h.ServeHTTP(w, r)
					return
				}
				tr, err := sse.Connect(w, r, h)
				if err != nil {
					t.Error(err)
					return
				}
				made <- tr
				tr.Wait()
			}))
			defer srv.Close()
			var wire []byte
			for range 2 {
				r := open(t, srv.Client(), srv.URL)
				tr := <-made
				if wire == nil {
					for _, image := range order {
						ev := preview("image/png", image)
						if image == text {
							ev = nodebus.Event{Payload: nodebus.ExecutionStart{PromptID: "p"}}
						}
						f, err := nodebus.JSON.Encode(ev)
						require.NoError(t, err)
						wire = tr.AppendFrame(wire, f)
					}
				}
				all, err := tr.TryWrite(wire)
				require.NoError(t, err)
				require.True(t, all)
				for _, image := range order {
					if image == text {
						require.Equal(t, "execution_start", r.must(t).Type)
					} else {
						require.Equal(t, image, get(t, srv.Client(), r.mustShow(t, srv.URL)).text)
					}
				}
				require.NoError(t, tr.Close(nil))
			}
		})
	}
}

func TestOldPreviewsAreRemoved(t *testing.T) {
	const size = 1000
	s := serve(t, &sse.Options{PreviewBytes: 3 * (size + 512)}, nil)
	r := s.open(t, "?clientId=me")
	r.must(t)
	var at []string
	for _, c := range "abcad" { // the second a keeps the first
		require.NoError(t, s.hub.Publish(preview("image/png", string(bytes.Repeat([]byte{byte(c)}, size)))))
		at = append(at, r.mustShow(t, s.web.URL))
	}
	require.NoError(t, s.hub.Publish(preview("image/png", string(make([]byte, 3*size+3*512+1))))) // too large
	at = append(at, r.mustShow(t, s.web.URL))
	require.Equal(t, at[0], at[3])
	for i, want := range []int{200, 404, 200, 200, 200, 404} {
		require.Equal(t, want, get(t, s.web.Client(), at[i]).status, i)
	}
}

func TestPreviewsExpire(t *testing.T) {
	onPipes(t, &sse.Options{PreviewAge: 10 * time.Second, PingInterval: -1}, func(t *testing.T, n *pipes) {
		r := n.open(t, "?clientId=me")
		r.must(t)
		show := func(image string) string {
			require.NoError(t, n.hub.Publish(preview("image/png", image)))
			return r.mustShow(t, "http://localhost/")
		}
		status := func(at string) int {
			res := get(t, n.client, at)
			<-n.left
			return res.status
		}
		first := show("a")
		time.Sleep(6 * time.Second)
		second := show("b")
		time.Sleep(4*time.Second - time.Nanosecond)
		require.Equal(t, 200, status(first))
		time.Sleep(time.Nanosecond)
		require.Equal(t, 404, status(first))
		require.Equal(t, 200, status(second))
		time.Sleep(time.Minute)
		require.Equal(t, 404, status(second))
		third := show("c") // the first image after all are gone
		require.Equal(t, 200, status(third))
		time.Sleep(time.Minute)
		require.Equal(t, 404, status(third))
		r.close()
		<-n.left
	})
}
