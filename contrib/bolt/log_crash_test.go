package bolt_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// publishers is the number of goroutines of a child that publish at the same time.
const publishers = 3

const (
	// aheadMax is how many events the publishers may be ahead of the client. The log has
	// room for them.
	aheadMax = 20_000
	// moreEvents is how many events the client receives before it allows as many more.
	moreEvents = 1000
)

// keepsAll gives the log room for all that the children publish, also if the client is far
// behind.
var keepsAll = &bolt.Options{Log: &nodebus.HubOptions{KeepLen: 1 << 20, KeepBytes: 1 << 30, Retain: time.Hour}}

// count is a numbered event of a publisher in a life of the child.
type count struct{ Life, Publisher, N int }

func (count) EventType() string { return "test.count" }

// TestLogChild is the process that TestLogSurvivesKill kills: a hub over the log of a file,
// with clients over Server-Sent Events.
func TestLogChild(t *testing.T) {
	path, life := os.Getenv("BOLT_LOG_CHILD"), 0
	if path == "" {
		return // it is no child
	}
	_, err := fmt.Sscan(os.Getenv("BOLT_LOG_LIFE"), &life)
	require.NoError(t, err)
	db, err := bolt.Open(path, keepsAll)
	require.NoError(t, err)
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Println("address", l.Addr())
	step := make(chan struct{}, aheadMax)
	for range aheadMax {
		step <- struct{}{}
	}
	for p := range publishers {
		go func() {
			for n := 0; ; n++ {
				<-step
				ev := nodebus.Event{PromptID: fmt.Sprint("prompt ", p), To: "ann", Payload: count{life, p, n}}
				if n%10 == 9 {
					ev = nodebus.Event{Broadcast: true, Payload: ev.Payload}
				}
				if err := hub.Publish(ev); err != nil {
					panic(err)
				}
			}
		}()
	}
	mux := http.NewServeMux()
	mux.Handle("/", sse.New(hub, nil))
	mux.HandleFunc("/more", func(http.ResponseWriter, *http.Request) {
		for range moreEvents {
			step <- struct{}{}
		}
	})
	panic(http.Serve(l, mux))
}

// child is a process that runs until it is killed.
type child struct {
	cmd     *exec.Cmd
	address string
}

func startChild(t *testing.T, path string, life int) *child {
	cmd := exec.Command(os.Args[0], "-test.run=^TestLogChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "BOLT_LOG_CHILD="+path, fmt.Sprint("BOLT_LOG_LIFE=", life))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{cmd: cmd}
	t.Cleanup(c.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, found := strings.CutPrefix(lines.Text(), "address "); found {
			c.address = address
			return c
		}
	}
	require.FailNow(t, "the child has ended", lines.Err())
	return nil
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// allowMore lets the publishers continue.
func (c *child) allowMore(t *testing.T) {
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(httptest.NewRequest(http.MethodGet, "http://"+c.address+"/more", nil))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
}

// seen is an event that the client has received.
type seen struct {
	id    uint64
	epoch string
	count
}

// receive connects the client, and calls each for each event until the connection ends.
func (c *child) receive(t *testing.T, since string, each func(seen)) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+"/?clientId=ann&since="+since, nil)
	require.NoError(t, err)
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			require.NoError(t, ctx.Err(), "the child was not killed in time")
			return
		}
		data, found := strings.CutPrefix(line, "data:")
		if !found {
			continue
		}
		var ev struct {
			Type, Cursor string
			Data         count
		}
		require.NoError(t, json.Unmarshal([]byte(data), &ev), data)
		require.NotEqual(t, "nodebus.gap", ev.Type, data)
		if ev.Type != "test.count" {
			continue
		}
		at, err := nodebus.ParseCursor(ev.Cursor)
		require.NoError(t, err)
		each(seen{at.ID, at.Epoch, ev.Data})
	}
}

// TestLogSurvivesKill kills a process with kill -9 while it publishes and a client receives,
// several times. What the client has received before is in the file after, and the client
// goes on with its cursor: nothing is missing, nothing comes twice.
func TestLogSurvivesKill(t *testing.T) {
	const lives, each = 5, 2500
	path := newPath(t)
	var all []seen
	cursor := beginning(t, path) // without a cursor, the client would not receive broadcasts from before it came
	for life := range lives {
		c := startChild(t, path, life)
		n := 0
		c.receive(t, cursor, func(s seen) {
			all = append(all, s)
			if s.Life == life {
				n++
			}
			switch {
			case n == each:
				c.kill() // what is on the way is still received
			case n < each && len(all)%moreEvents == 0:
				c.allowMore(t)
			}
		})
		last := all[len(all)-1]
		cursor = nodebus.Cursor{Epoch: last.epoch, ID: last.id}.String()
	}
	checkCounts(t, all)
	db := open(t, path, keepsAll)
	kept := map[uint64]count{}
	for q := (nodebus.LogQuery{Own: true, Client: "ann", UpTo: 1 << 62, Limit: 1000}); ; {
		page, err := db.Log().Read(q)
		require.NoError(t, err)
		for _, ev := range page.Events {
			kept[ev.ID] = countOf(t, ev)
			q.After = ev.ID
		}
		if !page.More {
			break
		}
	}
	for _, s := range all {
		require.Equal(t, s.count, kept[s.id], "event %d was received", s.id)
	}
	at, stop, err := db.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	require.GreaterOrEqual(t, at.ID, all[len(all)-1].id)
}

// beginning makes a file, and returns the cursor before its first event.
func beginning(t *testing.T, path string) string {
	db := open(t, path, keepsAll)
	at, stop, err := db.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	require.NoError(t, db.Close())
	return at.String()
}

// countOf returns the payload of an event that was read from a file.
func countOf(t *testing.T, ev nodebus.Event) (c count) {
	data, ok := ev.Payload.(nodebus.Custom).Data.(json.RawMessage)
	require.True(t, ok)
	require.NoError(t, json.Unmarshal(data, &c))
	return c
}

// checkCounts checks that the client has received each event once and in order: in each life,
// each publisher's numbers begin with 0 and rise by 1.
func checkCounts(t *testing.T, all []seen) {
	next := map[[2]int]int{}
	for i, s := range all {
		require.Equal(t, all[0].epoch, s.epoch)
		if i > 0 {
			require.Greater(t, s.id, all[i-1].id)
			require.GreaterOrEqual(t, s.Life, all[i-1].Life)
		}
		key := [2]int{s.Life, s.Publisher}
		require.Equal(t, next[key], s.N, "event %d, of publisher %d in life %d", s.id, s.Publisher, s.Life)
		next[key]++
	}
	require.GreaterOrEqual(t, len(next), publishers)
}
