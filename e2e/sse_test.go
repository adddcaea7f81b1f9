//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// stream is a server of Server-Sent Events. Routes for the scripts: POST /say publishes
// the text events from..to, each to one of two prompts of the client "me"; POST /show
// publishes a preview; POST /cut ends all streams, with a broken connection if hard is
// set.
type stream struct {
	hub *nodebus.Hub
	web *httptest.Server
}

func newStream(t *testing.T) *stream {
	s := &stream{hub: nodebus.NewHub(nil)}
	var streams sync.Map // connections
	routes := http.NewServeMux()
	routes.Handle("/events", sse.New(s.hub, nil))
	routes.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><img id="preview">`))
	})
	routes.HandleFunc("POST /say", func(_ http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(r.FormValue("from"))
		to, _ := strconv.Atoi(r.FormValue("to"))
		for n := from; n <= to; n++ {
			s.say(t, n)
		}
	})
	routes.HandleFunc("POST /show", func(http.ResponseWriter, *http.Request) {
		var file bytes.Buffer
		if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
			t.Error(err)
		}
		s.publish(t, nodebus.Preview{PromptID: "a", Place: nodebus.Place{UniqueID: "7"}, ImageType: "image/png", Image: file.Bytes()})
	})
	routes.HandleFunc("POST /cut", func(_ http.ResponseWriter, r *http.Request) {
		if r.FormValue("hard") != "" {
			streams.Range(func(c, _ any) bool {
				_ = c.(net.Conn).Close()
				return true
			})
		}
		for _, x := range s.hub.Sessions() {
			s.hub.End(x.Name, nil)
		}
	})
	s.web = httptest.NewUnstartedServer(routes)
	s.web.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			streams.Store(c, nil)
		}
	}
	s.web.Start()
	t.Cleanup(func() {
		_ = s.hub.Close()
		s.web.CloseClientConnections()
		s.web.Close()
	})
	return s
}

func (s *stream) publish(t *testing.T, p nodebus.Payload) {
	if err := s.hub.Publish(nodebus.Event{PromptID: "a", To: "me", Payload: p}); err != nil {
		t.Error(err)
	}
}

// say publishes event n. Its text has all characters that a reader may take for the end
// of a line.
func (s *stream) say(t *testing.T, n int) {
	s.publish(t, nodebus.Custom{Type: fmt.Sprintf("e2e.%d", n%2), Data: map[string]any{"n": n, "text": "\r\n\u0085\u2028\u2029"}})
}

// throughNginx starts nginx in front of a server and returns its address. The
// configuration has only what is necessary, so that nginx buffers by default.
func throughNginx(t *testing.T, back string) string {
	t.Helper()
	front, dir := unusedAddress(t), t.TempDir()
	conf := fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log stderr notice;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server { listen %[2]s; location / { proxy_pass %[3]s; proxy_set_header Host $http_host; } }
}`, dir, front, back)
	path := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(path, []byte(conf), 0o600))
	cmd := exec.Command("nginx", "-c", path, "-p", dir)
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(said)
	listens := false
	for !listens && lines.Scan() { // nginx listens before it chooses the method
		t.Log(lines.Text())
		listens = strings.Contains(lines.Text(), "event method")
	}
	require.True(t, listens)
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines.Scan() {
			t.Log(lines.Text())
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		_ = cmd.Wait()
	})
	return "http://" + front
}

// fronts are the ways to the server.
var fronts = map[string]func(t *testing.T, back string) string{
	"direct": func(_ *testing.T, back string) string { return back },
	"nginx":  throughNginx,
}

// TestEventsWithCurl reads a stream with curl. Each event must arrive before the next is
// published, so nothing on the way may buffer.
func TestEventsWithCurl(t *testing.T) {
	for name, front := range fronts {
		t.Run(name, func(t *testing.T) {
			s := newStream(t)
			url := front(t, s.web.URL) + "/events?clientId=me"
			id := ""
			for _, first := range []int{0, 20, 40} { // the second and the third continue
				cmd := exec.Command("curl", "--silent", "--show-error", "--no-buffer", "--header", "Last-Event-ID: "+id, url)
				cmd.Stderr = os.Stderr
				out, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				lines := bufio.NewScanner(out)
				_, status := nextEvent(t, lines)
				require.Contains(t, status, `"type":"status"`)
				for n := first; n < first+20; n++ {
					if n >= first+10 || first == 0 {
						s.say(t, n)
					}
					var data string
					id, data = nextEvent(t, lines)
					var ev struct{ Data struct{ N int } }
					require.NoError(t, json.Unmarshal([]byte(data), &ev))
					require.Equal(t, n, ev.Data.N)
				}
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
				for n := first + 20; n < first+30; n++ { // curl misses these
					s.say(t, n)
				}
			}
		})
	}
}

// nextEvent reads an event, and returns its id and its data.
func nextEvent(t *testing.T, lines *bufio.Scanner) (id, data string) {
	t.Helper()
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			data = value
		case name == "" && data != "":
			return id, data
		}
	}
	require.Fail(t, "the stream has ended", lines.Err())
	return "", ""
}

// TestEventsInBrowser reads a stream with the EventSource of a browser. The stream breaks
// again and again; the browser must continue.
func TestEventsInBrowser(t *testing.T) {
	t.Parallel()
	for name, front := range fronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStream(t)
			saw := run(t, "node", "browser/events.mjs", strings.TrimPrefix(front(t, s.web.URL), "http://"))
			requireLines(t, filepath.Join("browser", "events.jsonl"), strings.NewReplacer(), saw)
		})
	}
}
