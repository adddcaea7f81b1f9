package comfy_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// texts returns the texts of the entries in an answer of /internal/logs/raw or in
// an event.
func texts(t *testing.T, log any) (all []string) {
	for _, e := range at(t, log, "entries").([]any) {
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$`, at(t, e, "t"))
		all = append(all, at(t, e, "m").(string))
	}
	return all
}

func write(t *testing.T, logs io.Writer, text string) {
	t.Helper()
	n, err := io.WriteString(logs, text)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func TestLogsKeepTheLast300(t *testing.T) {
	logs := comfy.NewLogs()
	h := newHost(t, &comfy.Options{Logs: logs})
	require.Empty(t, texts(t, h.get("/internal/logs/raw")))
	for i := range 299 {
		write(t, logs, fmt.Sprintln("line", i))
	}
	require.Len(t, texts(t, h.get("/internal/logs/raw")), 299)
	for i := range 11 {
		write(t, logs, fmt.Sprintln("line", 299+i))
	}
	raw := h.get("/internal/logs/raw")
	all := texts(t, raw)
	require.Len(t, all, 300)
	require.Equal(t, "line 10\n", all[0])
	require.Equal(t, "line 309\n", all[299])
	require.Equal(t, map[string]any{"cols": 80.0, "rows": 24.0}, at(t, raw, "size"))

	text := h.get("/internal/logs").(string)
	require.Regexp(t, `^\S{26} - line 10\n\S{26} - line 11\n`, text)
	require.Equal(t, 300, strings.Count(text, "\n"))
}

// TestLogsSplit: a long text becomes entries of at most 16 KiB. No character is
// split.
func TestLogsSplit(t *testing.T) {
	const most = 16 << 10
	for name, c := range map[string]struct {
		text  string
		sizes []int
	}{
		"nothing":            {"", nil},
		"a word":             {"word", []int{4}},
		"just fits":          {strings.Repeat("x", most), []int{most}},
		"one too many":       {strings.Repeat("x", most+1), []int{most, 1}},
		"three pieces":       {strings.Repeat("x", 2*most+5), []int{most, most, 5}},
		"within a character": {strings.Repeat("x", most-1) + "é" + "y", []int{most - 1, 3}},
		"a long character":   {strings.Repeat("x", most-2) + "😀", []int{most - 2, 4}},
		"a character ends":   {strings.Repeat("x", most-2) + "é" + "y", []int{most, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			logs := comfy.NewLogs()
			h := newHost(t, &comfy.Options{Logs: logs})
			write(t, logs, c.text)
			var sizes []int
			all := texts(t, h.get("/internal/logs/raw"))
			for _, piece := range all {
				sizes = append(sizes, len(piece))
			}
			require.Equal(t, c.sizes, sizes)
			require.Equal(t, c.text, strings.Join(all, ""))
		})
	}
	logs := comfy.NewLogs()
	write(t, logs, strings.Repeat("\x80", most+1)) // the loop ends although no character begins here
	require.Len(t, texts(t, newHost(t, &comfy.Options{Logs: logs}).get("/internal/logs/raw")), 2)
}

func (h *host) subscribe(client string, on bool) answered {
	h.t.Helper()
	return h.send("PATCH", "/internal/logs/subscribe", fmt.Sprintf(`{"enabled":%t,"clientId":%q}`, on, client))
}

// told reads log events until all pieces of text have arrived. It checks that they
// arrive in order, and each piece once.
func (s *socket) told(t *testing.T, pieces ...string) {
	t.Helper()
	var got []string
	for len(got) < len(pieces) {
		m := s.next()
		require.Equal(t, "logs", m.Type, "%v", m)
		require.Contains(t, m.Data, "size")
		require.Nil(t, m.Data["size"])
		got = append(got, texts(t, m.Data)...)
	}
	require.Equal(t, pieces, got)
}

func TestLogsSubscribe(t *testing.T) {
	logs := comfy.NewLogs()
	h := newHost(t, &comfy.Options{Logs: logs})
	me, you, other := h.connect("me"), h.connect("you"), h.connect("other")
	for _, s := range []*socket{me, you, other} {
		s.next()
	}
	write(t, logs, "before")
	a := h.subscribe("me", true)
	require.Equal(t, []any{200, ""}, []any{a.status, a.body})
	write(t, logs, "one ")
	write(t, logs, "two ")
	me.told(t, "one ", "two ")

	require.Equal(t, 200, h.subscribe("you", true).status)
	write(t, logs, "three")
	me.told(t, "three")
	you.told(t, "three")

	require.Equal(t, 200, h.subscribe("you", false).status)
	require.Equal(t, 200, h.subscribe("you", false).status, "twice is no harm")
	write(t, logs, "four")
	me.told(t, "four")
	require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
	require.Equal(t, []string{"spoken over"}, you.until("spoken over"), "it has unsubscribed")
	require.Equal(t, []string{"spoken over"}, other.until("spoken over"), "it has never subscribed")
}

// TestLogsOfNoClient: a client that never connected, or that has disconnected,
// receives nothing, and other clients still receive their entries.
func TestLogsOfNoClient(t *testing.T) {
	logs := comfy.NewLogs()
	h := newHost(t, &comfy.Options{Logs: logs})
	gone := h.connect("gone")
	gone.next()
	require.Equal(t, 200, h.subscribe("gone", true).status)
	require.Equal(t, 200, h.subscribe("never there", true).status)
	gone.close()
	me := h.connect("me")
	me.next()
	require.Equal(t, 200, h.subscribe("me", true).status)
	write(t, logs, "one")
	me.told(t, "one")
	late := h.connect("never there")
	late.next()
	write(t, logs, "two")
	me.told(t, "two")
	require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
	require.Equal(t, []string{"spoken over"}, late.until("spoken over"))
	for _, body := range []string{``, `{`, `[]`, `{"enabled":true,"clientId":5}`} {
		require.Equal(t, 400, h.send("PATCH", "/internal/logs/subscribe", body).status, body)
	}
	require.Equal(t, 405, h.post("/internal/logs/subscribe", `{}`).status)
}

// TestLogsOfSeveralServers: each server sends the entries to its own clients.
func TestLogsOfSeveralServers(t *testing.T) {
	logs := comfy.NewLogs()
	var sockets []*socket
	for range 3 {
		h := newHost(t, &comfy.Options{Logs: logs})
		s := h.connect("me")
		s.next()
		require.Equal(t, 200, h.subscribe("me", true).status)
		sockets = append(sockets, s)
	}
	write(t, logs, "to all")
	for _, s := range sockets {
		s.told(t, "to all")
	}
}

// TestLogsOfAClosedHub: a program may write to its logs after it has closed the
// hub.
func TestLogsOfAClosedHub(t *testing.T) {
	logs := comfy.NewLogs()
	h := newHost(t, &comfy.Options{Logs: logs})
	s := h.connect("me")
	s.next()
	require.Equal(t, 200, h.subscribe("me", true).status)
	require.NoError(t, h.hub.Close())
	write(t, logs, "after the end")
	require.EqualValues(t, 1001, s.closed())
	require.Equal(t, []string{"after the end"}, texts(t, h.get("/internal/logs/raw")))

	none := newHost(t, nil)
	require.Equal(t, 200, none.subscribe("me", true).status, "without logs there is nothing to be told")
}

// TestLogsAtOnce: writers, readers and subscribers work at the same time, and a
// subscriber receives every entry.
func TestLogsAtOnce(t *testing.T) {
	logs := comfy.NewLogs()
	h := newHost(t, &comfy.Options{Logs: logs, Logger: slog.New(slog.NewTextHandler(logs, nil))})
	me := h.connect("me")
	me.next()
	require.Equal(t, 200, h.subscribe("me", true).status)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 25 { // the 4 writers write fewer entries than Logs keeps
				_, _ = fmt.Fprintf(logs, "%d/%d", w, i)
			}
		})
	}
	for i := range 10 {
		client := fmt.Sprint("client ", i%2)
		h.connect(client).next()
		h.subscribe(client, i%3 > 0)
		h.get("/internal/logs/raw")
	}
	all.Wait()
	next := map[string]int{}
	for n := 0; n < 100; {
		m := me.next()
		if m.Type == "status" {
			continue
		}
		for _, text := range texts(t, m.Data) {
			w, i, _ := strings.Cut(text, "/")
			require.Equal(t, fmt.Sprint(next[w]), i, "of writer %s", w)
			next[w]++
			n++
		}
	}
}

// asking is a log handler that sends requests to the server it logs for.
type asking struct {
	slog.Handler
	ask func()
}

func (a asking) Handle(ctx context.Context, r slog.Record) error {
	a.ask()
	return a.Handler.Handle(ctx, r)
}

// TestLogsOfTheServerItself: while the server logs, it holds no lock that a log
// handler could need.
func TestLogsOfTheServerItself(t *testing.T) {
	logs := comfy.NewLogs()
	var h *host
	asked := make(chan int, 1)
	log := asking{slog.NewTextHandler(logs, nil), func() { asked <- h.subscribe("me", true).status }}
	h = newHost(t, &comfy.Options{Logs: logs, Logger: slog.New(log), Features: map[string]any{"odd": func() {}}})
	s := h.connect("me")
	s.next()
	s.say(`{"type":"feature_flags"}`) // the server's flags cannot be encoded as JSON
	require.Equal(t, 200, <-asked)
	m := s.next()
	require.Equal(t, "logs", m.Type)
	require.Contains(t, texts(t, m.Data)[0], "feature flags not sent")
}
