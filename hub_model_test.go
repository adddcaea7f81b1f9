package nodebus_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// hubModelRetain lies between the instants at which anything happens in a
// case, which are tens of seconds, so that what has expired is beyond doubt.
const hubModelRetain = 55 * time.Second

// hubModel is the hub without anything that makes it fast: lists of events, and
// the rules.
type hubModel struct {
	base, last uint64
	now        time.Duration
	keepLen    int
	queueLen   int
	stories    map[string]*hubModelStory // by prompt; "" is what belongs to none
	ended      []*hubModelStory          // in that order
	running    []*hubModelStory          // the one that was silent longest first
	lost       []hubModelEvent
	sessions   []*hubModelSession
}

type hubModelEvent struct {
	id         uint64
	prompt, to string
	key        string // empty: never replaced
	text       string
	at         time.Duration
}

type hubModelStory struct {
	kept  []hubModelEvent
	to    string // of its first event
	mixed bool   // and not of all
	lost  uint64 // newest event of a running prompt that made room
	over  bool
	since time.Duration // when it ended
}

type hubModelSession struct {
	client  string
	watch   []string
	all     bool
	paused  bool
	writing []string        // what the Write that waits was given
	waiting []hubModelEvent // what queues behind it
	got     []string
	slow    bool
}

func (s *hubModelSession) isFor(e hubModelEvent) bool {
	if e.to != "" && e.to == s.client {
		return true
	}
	if e.prompt != "" {
		return s.all || slices.Contains(s.watch, e.prompt)
	}
	return e.to == ""
}

func (e hubModelEvent) String() string { return fmt.Sprint(e.id, " ", e.text) }

// publish reports whether the event is accepted.
func (m *hubModel) publish(e hubModelEvent, starts, ends bool) bool {
	st := m.stories[e.prompt]
	if st != nil && st.over {
		if !starts {
			return false
		}
		m.drop(st)
		st = nil
	}
	if st == nil {
		st = &hubModelStory{to: e.to}
		m.stories[e.prompt] = st
	}
	st.mixed = st.mixed || e.to != st.to
	m.last++
	e.id, e.at = m.last, m.now
	for _, s := range m.sessions {
		if s.isFor(e) {
			m.deliver(s, e)
		}
	}
	st.kept = append(slices.DeleteFunc(st.kept, func(o hubModelEvent) bool { return replaces(e, o) && e.to == o.to }), e)
	m.running = slices.DeleteFunc(m.running, func(o *hubModelStory) bool { return o == st })
	switch {
	case e.prompt != "" && ends:
		st.over, st.since = true, m.now
		m.ended = append(m.ended, st)
	case e.prompt != "":
		m.running = append(m.running, st)
	}
	m.makeRoom(st)
	return true
}

func replaces(e, older hubModelEvent) bool { return e.key != "" && e.key == older.key }

func (m *hubModel) deliver(s *hubModelSession, e hubModelEvent) {
	switch {
	case s.slow:
	case !s.paused:
		s.got = append(s.got, e.String())
	case len(s.writing) == 0:
		s.writing = []string{e.String()}
	default:
		s.waiting = append(slices.DeleteFunc(s.waiting, func(o hubModelEvent) bool { return replaces(e, o) }), e)
		s.slow = len(s.waiting) > m.queueLen
	}
}

func (m *hubModel) count() (n int) {
	for _, st := range m.stories {
		n += len(st.kept)
	}
	return n
}

func (m *hubModel) makeRoom(speaks *hubModelStory) {
	shift := func(st *hubModelStory) {
		m.lost = append(m.lost, st.kept[0])
		if !st.mixed {
			st.lost = st.kept[0].id
		}
		st.kept = st.kept[1:]
	}
	for m.count() > m.keepLen {
		lobby := m.stories[""]
		switch {
		case len(m.ended) > 0 && m.ended[0] != speaks:
			m.drop(m.ended[0])
		case lobby != nil && len(lobby.kept) > 0:
			shift(lobby)
		case len(speaks.kept) > 1:
			shift(speaks)
		case len(m.running) > 0 && m.running[0] != speaks:
			m.drop(m.running[0])
		default:
			return
		}
	}
}

func (m *hubModel) drop(st *hubModelStory) {
	m.lost = append(m.lost, st.kept...)
	is := func(o *hubModelStory) bool { return o == st }
	m.ended, m.running = slices.DeleteFunc(m.ended, is), slices.DeleteFunc(m.running, is)
	for id, o := range m.stories {
		if o == st {
			delete(m.stories, id)
		}
	}
}

// advance lets time pass and forgets what has expired.
func (m *hubModel) advance(d time.Duration) {
	m.now += d
	for len(m.ended) > 0 && m.ended[0].since+hubModelRetain < m.now {
		m.drop(m.ended[0])
	}
	if lobby := m.stories[""]; lobby != nil {
		for len(lobby.kept) > 0 && lobby.kept[0].at+hubModelRetain < m.now {
			m.lost = append(m.lost, lobby.kept[0])
			lobby.kept = lobby.kept[1:]
		}
	}
}

// join adds s, which is sent what it missed.
func (m *hubModel) join(s *hubModelSession, since uint64) {
	var due []hubModelEvent
	var lost uint64
	from, gap := since, false
	if since > 0 {
		lost = m.base // an earlier process
		for _, e := range m.lost {
			if s.isFor(e) {
				lost = max(lost, e.id)
			}
		}
		gap = since < lost
		if since > m.last {
			from, gap = 0, true
		}
	}
	for id, st := range m.stories {
		if since == 0 && (id == "" || st.over && !slices.Contains(s.watch, id)) {
			continue
		}
		for _, e := range st.kept {
			if e.id > from && s.isFor(e) {
				due = append(due, e)
			}
		}
		if since == 0 && st.lost > 0 && s.isFor(hubModelEvent{prompt: id, to: st.to}) {
			lost, gap = max(lost, st.lost), true
		}
	}
	slices.SortFunc(due, func(a, b hubModelEvent) int { return int(a.id) - int(b.id) })
	var greeting []string
	if gap {
		cursor := since
		switch {
		case 0 < since && since <= m.last:
		case len(due) > 0:
			cursor = due[0].id - 1
		default:
			cursor = m.last
		}
		greeting = append(greeting, fmt.Sprintf("%d gap %d-%d", cursor, since, lost+1))
	}
	for _, e := range due {
		greeting = append(greeting, e.String())
	}
	if s.paused {
		s.writing = greeting
	} else {
		s.got = greeting
	}
	m.sessions = append(m.sessions, s)
}

func (s *hubModelSession) resume() {
	s.paused = false
	if s.slow {
		return
	}
	s.got = append(s.got, s.writing...)
	for _, e := range s.waiting {
		s.got = append(s.got, e.String())
	}
	s.writing, s.waiting = nil, nil
}

// hubCase is a hub and its model, to which the same happens.
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

// hubCaseClient is a session, in both.
type hubCaseClient struct {
	model *hubModelSession
	s     *nodebus.Session
	tape  *tape
	try   bool
	over  func() error
}

var hubModelClients = []string{"alice", "bob", "carol", ""}

// TestHubAgainstModel compares what sessions were sent with what they should
// have been, whatever happens. The name of a subtest is its seed.
func TestHubAgainstModel(t *testing.T) {
	for seed := range 2000 {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runHubCase(t, uint64(seed)) })
		})
	}
}

func runHubCase(t *testing.T, seed uint64) {
	c := &hubCase{t: t, rnd: rand.New(rand.NewPCG(seed, 42))}
	opts := &nodebus.HubOptions{Retain: hubModelRetain, QueueLen: 1 + c.rnd.IntN(6)}
	c.m = &hubModel{base: uint64(time.Now().UnixMicro()), keepLen: 1 << 18, queueLen: opts.QueueLen, stories: map[string]*hubModelStory{}}
	c.m.last = c.m.base
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

// mayMerge reports whether it is a matter of timing what j is sent of a burst:
// what meets a Write waits, and may be replaced.
func (j *hubCaseClient) mayMerge() bool {
	return !j.model.slow && len(j.model.writing) == 0 && (j.model.paused || !j.try)
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
	starts, ends := false, false
	if prompt := c.rnd.IntN(7); prompt < 5 {
		e.prompt, e.to = strconv.Itoa(prompt), hubModelClients[prompt%len(hubModelClients)]
		switch c.rnd.IntN(8) {
		case 0:
			starts, e.key, e.text, p = true, "", "execution_start", nodebus.ExecutionStart{}
		case 1:
			ends, e.key, e.text, p = true, "", "executing", nodebus.Executing{}
		}
		if c.mixed && c.rnd.IntN(5) == 0 {
			e.to = hubModelClients[c.rnd.IntN(len(hubModelClients))]
		}
	} else if prompt == 5 {
		e.to = hubModelClients[c.rnd.IntN(len(hubModelClients))]
	}
	c.note("publish %q of prompt %q to %q", e.text, e.prompt, e.to)
	err := c.h.Publish(nodebus.Event{PromptID: e.prompt, To: e.to, Payload: p})
	if c.m.publish(e, starts, ends) {
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
	var since uint64
	switch c.rnd.IntN(6) {
	case 0, 1, 2:
		since = c.m.base + c.rnd.Uint64N(c.m.last-c.m.base+1)
	case 3:
		since = c.m.base - 5
	case 4:
		since = c.m.last + 1 + c.rnd.Uint64N(3)
	}
	c.note("join %q since %d, watching %q, all %t", s.client, since, s.watch, s.all)
	j := &hubCaseClient{model: s, tape: newPausedTape(), try: c.rnd.IntN(2) == 0}
	if !s.paused {
		j.tape.play()
	}
	j.s = c.h.Join(s.client, &nodebus.SessionOptions{Since: since, Watch: s.watch, WatchAll: s.all})
	j.over = serveOn(c.t, j.s, asTransport(j.tape, j.try))
	synctest.Wait()
	c.m.join(s, since)
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
	j.model.resume()
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
