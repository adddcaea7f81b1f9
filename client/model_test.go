package client_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// said is an event of the model.
type said struct {
	n      int    // its number, from 1, which is also its place
	kind   string // "n", "gap", "close" or "watching"
	prompt string
}

// modelLoop is a running loop of the model, and the real loop beside it.
type modelLoop struct {
	prompt string
	begun  bool
	quiet  bool
	queue  []said
	next   func() (nodebus.Event, error, bool)
	stop   func()
}

// model is a naive model of a client. It tells what each loop yields, which events the
// listeners have had, and the cursor.
type model struct {
	t        *testing.T
	r        *rand.Rand
	c        *client.Client
	on       *scripted
	s        *script
	all      []said // that the server has sent
	read     int    // how many the client has read
	called   int    // how many the listeners have had
	loops    []*modelLoop
	kept     map[string][]said // by prompt; a nil list is kept, too
	unread   []said
	yielding bool     // a loop over Events has begun
	log      []string // what the listeners had
	cursors  bool
}

// TestModel runs random steps against a client and the model: events, Gaps, cuts, loops
// over Events and Follow, kept prompts, and Watch.
func TestModel(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			m := &model{t: t, r: rand.New(rand.NewPCG(seed, 7)), kept: map[string][]said{}, cursors: seed%3 > 0}
			m.begin()
			for range 80 {
				m.step()
			}
			for _, l := range m.loops {
				if l.begun {
					l.stop()
				}
			}
		})
	}
}

func (m *model) begin() {
	m.s = newScript(m.t)
	done := make(chan *client.Client)
	go func() {
		c, err := client.Dial(m.t.Context(), m.s.URL, &client.Options{Retry: time.Microsecond})
		if err != nil {
			m.t.Error(err)
		}
		done <- c
	}()
	m.accept()
	m.c = <-done
	m.t.Cleanup(func() { _ = m.c.Close() })
	m.c.OnType("", func(ev nodebus.Event) {
		if ev.Payload.EventType() != "status" {
			m.log = append(m.log, m.tell(ev))
		}
	})
}

// accept answers a new connection.
func (m *model) accept() {
	m.on = <-m.s.accepted
	if m.cursors {
		since, err := nodebus.ParseCursor(m.on.since)
		require.NoError(m.t, err)
		m.on.greets(m.t, nodebus.Cursor{Epoch: "e", ID: since.ID}.String())
		for _, e := range m.all[since.ID:] {
			m.send(e)
		}
	} else {
		m.on.greets(m.t, "")
	}
}

// send sends an event to the client.
func (m *model) send(e said) {
	cursor, in := "", ""
	if m.cursors {
		cursor = fmt.Sprintf(`,"cursor":"e-%d"`, e.n)
	}
	if e.prompt != "" {
		in = fmt.Sprintf(`,"prompt_id":%q`, e.prompt)
	}
	switch e.kind {
	case "gap":
		m.on.says(m.t, `{"type":"nodebus.gap","data":{"since":%d,"next":1}%s}`, e.n, cursor)
	case "close":
		m.on.says(m.t, `{"type":"executing","data":{"node":null%s}%s}`, in, cursor)
	case "watching":
		m.on.says(m.t, `{"type":"nodebus.watching","data":{"watching":true%s}%s}`, in, cursor)
	default:
		m.on.says(m.t, `{"type":"n","data":{"n":%d%s}%s}`, e.n, in, cursor)
	}
}

// tell returns the text of an event, as the model has it.
func (m *model) tell(ev nodebus.Event) string {
	switch p := ev.Payload.(type) {
	case nodebus.Gap:
		return fmt.Sprint("gap ", p.Since)
	case nodebus.Executing:
		return "close " + p.PromptID
	case nodebus.Watching:
		return "watching " + p.PromptID
	case nodebus.Custom:
		var d struct {
			N      int
			Prompt string `json:"prompt_id"`
		}
		require.NoError(m.t, json.Unmarshal(p.Data.(json.RawMessage), &d))
		require.Equal(m.t, d.Prompt, ev.PromptID)
		return fmt.Sprint("n ", d.N)
	}
	return ev.Payload.EventType()
}

func (e said) text() string {
	switch e.kind {
	case "gap", "n":
		return fmt.Sprint(e.kind, " ", e.n)
	}
	return e.kind + " " + e.prompt
}

var prompts = []string{"", "a", "b", "c"}

func (m *model) step() {
	pick := prompts[m.r.IntN(len(prompts))]
	switch k := m.r.IntN(100); {
	case k < 40:
		m.publish("n", pick)
	case k < 43:
		m.publish("gap", "")
	case k < 47 && pick != "":
		m.publish("close", pick)
	case k < 52 && len(m.loops) < 5:
		m.loops = append(m.loops, &modelLoop{prompt: pick})
	case k < 56 && len(m.loops) > 0:
		m.end(m.loops[m.r.IntN(len(m.loops))])
	case k < 60 && pick != "":
		m.c.Keep(pick)
		m.kept[pick] = nil
	case k < 62:
		m.c.Unkeep(pick)
		delete(m.kept, pick)
	case k < 65 && pick != "":
		m.watch(pick)
	case k < 66 && m.cursors:
		require.NoError(m.t, m.on.CloseNow())
		m.accepted()
	case len(m.loops) > 0:
		m.pull(m.loops[m.r.IntN(len(m.loops))])
	}
	require.Equal(m.t, m.texts(m.all[:m.called]), m.log)
	if m.cursors {
		require.Equal(m.t, placeOf(m.place()), m.c.Cursor())
	}
}

// accepted makes the client connect again and answers.
func (m *model) accepted() {
	// The client connects again when it reads, so a loop reads up to the next event.
	l := &modelLoop{}
	m.loops = append(m.loops, l)
	m.publishOnly("n", "")
	answered := make(chan struct{})
	go func() {
		m.accept()
		close(answered)
	}()
	for last := len(m.all); m.read < last || len(l.queue) > 0; {
		m.pull(l)
	}
	<-answered
	m.end(l)
}

func (m *model) texts(all []said) (texts []string) {
	for _, e := range all {
		texts = append(texts, e.text())
	}
	return texts
}

func (m *model) publish(kind, prompt string) {
	m.publishOnly(kind, prompt)
	m.send(m.all[len(m.all)-1])
}

func (m *model) publishOnly(kind, prompt string) {
	m.all = append(m.all, said{n: len(m.all) + 1, kind: kind, prompt: prompt})
}

// watch calls Watch, which reads everything.
func (m *model) watch(prompt string) {
	m.publish("watching", prompt)
	if _, has := m.kept[prompt]; !has && !slices.ContainsFunc(m.loops, func(l *modelLoop) bool { return l.begun && !l.quiet && l.prompt == prompt }) {
		m.kept[prompt] = nil
	}
	require.NoError(m.t, m.c.Watch(deadline(m.t), prompt))
	for m.read < len(m.all) {
		m.readOne(true)
	}
}

// readOne is what the client does with the next event.
func (m *model) readOne(keep bool) {
	e := m.all[m.read]
	m.read++
	wants := func(prompt string) bool { return e.kind == "gap" || prompt == e.prompt }
	isOpen := false
	for _, l := range m.loops {
		isOpen = isOpen || l.begun && l.prompt == ""
		if l.begun && (l.prompt == "" || wants(l.prompt)) {
			l.queue = append(l.queue, e)
		}
	}
	for p := range m.kept {
		if wants(p) {
			m.kept[p] = append(m.kept[p], e)
		}
	}
	if (keep || m.yielding) && !isOpen {
		m.unread = append(m.unread, e)
	} else if !isOpen {
		m.unread = nil
	}
}

// start begins a loop, as its first pull does.
func (m *model) start(l *modelLoop) {
	l.begun = true
	events := m.c.Events(m.t.Context())
	switch {
	case l.prompt == "":
		l.queue, m.unread, m.yielding = m.unread, nil, true
	case m.r.IntN(2) == 0:
		l.quiet = true
		events = m.c.Quietly(m.t.Context(), l.prompt)
	default:
		events = m.c.Follow(m.t.Context(), l.prompt)
	}
	if l.prompt != "" {
		l.queue = slices.Clone(m.kept[l.prompt])
	}
	if l.prompt != "" && !l.quiet {
		delete(m.kept, l.prompt)
	}
	l.next, l.stop = iter.Pull2(events)
}

// pull takes the next event of a loop. The model publishes it if there is none.
func (m *model) pull(l *modelLoop) {
	if !l.begun {
		m.start(l)
	}
	for len(l.queue) == 0 {
		if m.called = m.read; m.read == len(m.all) {
			m.publish("n", l.prompt)
		}
		m.readOne(false)
	}
	want := l.queue[0]
	l.queue = l.queue[1:]
	m.called = max(m.called, want.n)
	got, err, ok := l.next()
	for ok && err == nil && got.Payload.EventType() == "status" {
		got, err, ok = l.next()
	}
	require.NoError(m.t, err)
	require.True(m.t, ok)
	require.Equal(m.t, want.text(), m.tell(got))
	if l.prompt != "" && want.kind == "close" {
		m.end(l)
	}
}

// end ends a loop.
func (m *model) end(l *modelLoop) {
	m.loops = slices.DeleteFunc(m.loops, func(o *modelLoop) bool { return o == l })
	if !l.begun {
		return
	}
	l.stop()
	if l.prompt == "" && !slices.ContainsFunc(m.loops, func(o *modelLoop) bool { return o.begun && o.prompt == "" }) {
		m.unread = l.queue
	}
}

// place returns the place of the client.
func (m *model) place() int {
	first := min(m.called, m.read) + 1
	look := func(q []said) {
		if len(q) > 0 {
			first = min(first, q[0].n)
		}
	}
	look(m.unread)
	for _, l := range m.loops {
		look(l.queue)
	}
	return first - 1
}
