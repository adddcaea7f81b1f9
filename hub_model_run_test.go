package nodebus_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// hubCase holds a hub and its model. The test does the same with both.
type hubCase struct {
	t     *testing.T
	rnd   *rand.Rand
	h     *nodebus.Hub
	m     *hubModel
	mixed bool // events of one prompt go to several clients
	n     int
	joins []*hubCaseClient
	trace []string
}

// hubCaseClient is a session of the hub and of the model.
type hubCaseClient struct {
	model *hubModelSession
	s     *nodebus.Session
	tape  *tape
	try   bool
	over  func() error
}

var hubModelClients = []string{"alice", "bob", "carol", ""}

var long = flag.Bool("long", false, "run the models on many more cases")

// TestHubAgainstModel compares the events that sessions received from the hub with the
// events of the model, for random actions. The name of a subtest is its seed.
func TestHubAgainstModel(t *testing.T) {
	cases := 1000
	if *long {
		cases = 20_000
	}
	for seed := range cases {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { runHubCase(t, uint64(seed)) })
		})
	}
}

func runHubCase(t *testing.T, seed uint64) {
	c := &hubCase{t: t, rnd: rand.New(rand.NewPCG(seed, 42))}
	opts := &nodebus.HubOptions{Retain: hubModelRetain, QueueLen: 1 + c.rnd.IntN(6)}
	c.m = &hubModel{keepLen: 1 << 18, queueLen: opts.QueueLen, prompts: map[string]*hubModelPrompt{}, closed: map[string]bool{}}
	if c.mixed = c.rnd.IntN(2) == 0; c.rnd.IntN(2) == 0 {
		opts.KeepLen = 1 + c.rnd.IntN(15)
		c.m.keepLen = opts.KeepLen
	}
	c.h = openHub(t, opts)
	for range 50 {
		c.step()
	}
	for _, j := range c.joins {
		if j.model.paused {
			c.resume(j)
		}
		c.check(j)
	}
}

func (c *hubCase) step() {
	switch n := c.rnd.IntN(100); {
	case n < 50:
		c.publish()
		synctest.Wait()
	case n < 60 && !slices.ContainsFunc(c.joins, (*hubCaseClient).mayMerge):
		for range 2 + c.rnd.IntN(8) {
			c.publish()
		}
		synctest.Wait()
	case n < 72 && len(c.joins) < 6:
		c.join()
	case n < 77 && len(c.joins) > 0:
		c.leave(c.rnd.IntN(len(c.joins)))
	case n < 90 && len(c.joins) > 0:
		if j := c.joins[c.rnd.IntN(len(c.joins))]; j.model.paused {
			c.resume(j)
		} else {
			j.model.paused = true
			j.tape.stop()
			c.note("pause %q", j.model.client)
		}
	case n >= 90:
		d := time.Duration(1+c.rnd.IntN(4)) * 10 * time.Second
		time.Sleep(d)
		synctest.Wait()
		c.m.advance(d)
		c.note("%s later", d)
	}
}

// mayMerge reports whether timing decides which events of a burst j receives: events
// that come during a Write wait in the queue, may be replaced, and may overflow it.
func (j *hubCaseClient) mayMerge() bool {
	return !j.model.slow && (j.model.paused || !j.try)
}

func (c *hubCase) note(format string, args ...any) {
	c.trace = append(c.trace, fmt.Sprintf(format, args...))
}

func (c *hubCase) publish() {
	c.n++
	e := hubModelEvent{text: fmt.Sprint("w", c.n)}
	var p nodebus.Payload = word(e.text)
	if c.rnd.IntN(2) == 0 {
		e.key = string(rune('x' + c.rnd.IntN(3)))
		e.text = fmt.Sprint(e.key, "=", c.n)
		p = gauge{e.key, c.n}
	}
	starts, step, ends := false, false, false
	if prompt := c.rnd.IntN(7); prompt < 5 {
		e.prompt, e.to = strconv.Itoa(prompt), hubModelClients[prompt%len(hubModelClients)]
		switch c.rnd.IntN(8) {
		case 0:
			starts, step, e.key, e.text, p = true, true, "", "execution_start", nodebus.ExecutionStart{}
		case 1:
			ends, step, e.key, e.text, p = true, true, "", "executing", nodebus.Executing{}
		case 2, 3:
			step, e.key, e.text = true, "", fmt.Sprint("executing ", c.n)
			p = nodebus.Executing{UniqueID: fmt.Sprint(c.n), DisplayID: "5"}
		}
		if c.mixed && c.rnd.IntN(5) == 0 {
			e.to = hubModelClients[c.rnd.IntN(len(hubModelClients))]
		}
	} else if prompt == 5 {
		e.to = hubModelClients[c.rnd.IntN(len(hubModelClients))]
	}
	c.note("publish %q of prompt %q to %q", e.text, e.prompt, e.to)
	err := c.h.Publish(nodebus.Event{PromptID: e.prompt, To: e.to, Broadcast: e.prompt == "" && e.to == "", Payload: p})
	if c.m.publish(e, starts, step, ends) {
		require.NoError(c.t, err)
	} else {
		require.ErrorIs(c.t, err, nodebus.ErrClosed)
	}
}

func (c *hubCase) join() {
	s := &hubModelSession{client: hubModelClients[c.rnd.IntN(len(hubModelClients))], paused: c.rnd.IntN(4) == 0}
	for c.rnd.IntN(3) == 0 {
		s.watch = append(s.watch, strconv.Itoa(c.rnd.IntN(6)))
	}
	s.all = c.rnd.IntN(6) == 0
	var since nodebus.Cursor
	switch c.rnd.IntN(6) {
	case 0, 1, 2:
		since = at(c.h, c.rnd.Uint64N(c.m.last+1))
	case 3:
		since = nodebus.Cursor{Epoch: "other", ID: c.rnd.Uint64N(c.m.last + 2)}
	case 4:
		since = at(c.h, c.m.last+1+c.rnd.Uint64N(3))
	}
	s.cursors = since != nodebus.Cursor{}
	c.note("join %q since %s, watching %q, all %t", s.client, since, s.watch, s.all)
	j := &hubCaseClient{model: s, tape: newPausedTape(), try: c.rnd.IntN(2) == 0}
	if !s.paused {
		j.tape.play()
	}
	j.s = c.h.Join(s.client, &nodebus.SessionOptions{Since: since, Watch: s.watch, WatchAll: s.all})
	j.over = serveOn(c.t, j.s, asTransport(j.tape, j.try))
	synctest.Wait()
	c.m.join(s, since.Epoch == c.h.Epoch(), since.ID)
	c.joins = append(c.joins, j)
}

func (c *hubCase) leave(i int) {
	j := c.joins[i]
	c.note("leave %q", j.model.client)
	j.s.Close(nil)
	synctest.Wait()
	c.check(j)
	c.joins = slices.Delete(c.joins, i, i+1)
	c.m.sessions = slices.DeleteFunc(c.m.sessions, func(s *hubModelSession) bool { return s == j.model })
}

func (c *hubCase) resume(j *hubCaseClient) {
	c.note("resume %q", j.model.client)
	c.m.resume(j.model)
	j.tape.play()
	synctest.Wait()
}

func (c *hubCase) check(j *hubCaseClient) {
	var got []string
	for _, f := range j.tape.frames {
		got = append(got, fmt.Sprint(f.ID, " ", spell(c.t, f)))
	}
	if !slices.Equal(j.model.got, got) {
		require.Equal(c.t, j.model.got, got, "client %q\n%s", j.model.client, strings.Join(c.trace, "\n"))
	}
	if j.model.slow {
		require.ErrorIs(c.t, j.over(), nodebus.ErrSlow, strings.Join(c.trace, "\n"))
	}
}
