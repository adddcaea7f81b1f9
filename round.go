package nodebus

import (
	"reflect"
	"slices"
)

// batchBytes is the size, in bytes, above which no further frame joins a batch. Larger
// writes are not cheaper per byte.
const batchBytes = 64 << 10

// roundState is the state of a round. Only the worker uses it. It records the progress
// of the round, so that another goroutine can continue the round if foreign code ends
// the worker's goroutine.
type roundState struct {
	skipped uint64 // see shard.skipped
	round   []*message
	filters []*Session
	asked   int  // number of calls of filters so far
	sorted  bool // true when the lists below are complete
	written int  // number of sessions, first of touched and then of all, that were written to

	shared   []*message // messages for all sessions
	touched  []*Session // sessions with more messages than shared, or only a part of shared
	all      []*Session
	included []inclusion // results of filters, in the order of the messages

	batches map[wireForm][]*batch // of shared
	last    made                  // the newest batches: made from shared, or from the due of a touched session
	pool    []*batch
}

// lane is what the worker keeps for a session during a round.
type lane struct {
	due     []*message // the messages for the session, if touched
	touched bool       // the session has a list of its own
}

// made holds batches together with the messages and the form they were made from.
type made struct {
	form    wireForm
	shared  bool // true: made from the shared messages; false: made from due
	due     []*message
	batches []*batch
}

// inclusion records that the Include of session x accepted message m.
type inclusion struct {
	m *message
	x *Session
}

// deliver finds the sessions of each message and writes the messages.
func (s *shard) deliver() {
	w := &s.w
	if w.skipped > 0 {
		s.skip(w.skipped)
		w.skipped = 0
	}
	if !w.sorted {
		s.sort()
	}
	for n := len(w.touched); w.written < n; {
		x := w.touched[w.written]
		w.written++
		w.send(x, x.lane.due, false)
	}
	if len(w.shared) > 0 {
		for n := len(w.touched); w.written < n+len(w.all); {
			x := w.all[w.written-n]
			w.written++
			if !x.lane.touched {
				w.send(x, w.shared, true)
			}
		}
	}
	s.spare = w.reset()
}

// skip makes all sessions read the messages up to an ID from the log, because the inbox
// has dropped them.
func (s *shard) skip(id uint64) {
	s.reg.Lock()
	var all []*Session
	for _, of := range s.byClient {
		all = append(all, of...)
	}
	s.reg.Unlock()
	for _, x := range all {
		x.skip(id)
	}
}

// sort adds each message of the round to the lists of its sessions.
func (s *shard) sort() {
	w := &s.w
	if w.asked == 0 {
		s.reg.Lock()
		w.filters = s.filters
		s.reg.Unlock()
	}
	w.ask()

	s.reg.Lock()
	defer s.reg.Unlock()
	if s.list == nil {
		for _, of := range s.byClient {
			s.list = append(s.list, of...)
		}
	}
	w.all = s.list
	included := w.included
	for _, m := range w.round {
		n := 0
		for n < len(included) && included[n].m == m {
			n++
		}
		s.address(m, included[:n])
		included = included[n:]
	}
	w.sorted = true
}

// ask calls the filters, without a lock. A session that joins after the filters were
// copied does not need the messages of this round, because they are older.
func (w *roundState) ask() {
	for w.asked < len(w.round)*len(w.filters) {
		m, x := w.round[w.asked/len(w.filters)], w.filters[w.asked%len(w.filters)]
		w.asked++
		if m.to.promptID != "" && m.id > x.from && !x.follows(m) && x.wantsIncluded(m) {
			w.included = append(w.included, inclusion{m, x})
		}
	}
}

// wireForm identifies the encoding of messages: for equal forms, the same messages have
// the same bytes.
type wireForm struct {
	codec     Codec
	transport reflect.Type
}

// batch is a sequence of messages for one write. Sessions share its wire form.
type batch struct {
	msgs    []*message
	wire    []byte
	outcome uint64 // ID of the newest outcome in msgs, or 0
}

// send writes messages to one session, or adds them to its queue. It holds no lock
// while it calls the session's codec and transport.
func (w *roundState) send(x *Session, msgs []*message, shared bool) {
	c, t := x.claim()
	if t == nil {
		x.enqueue(msgs)
		return
	}
	var batches []*batch
	sent, all, err := 0, true, errWriterGone // unless foreign code returns
	defer func() { x.release(batches, sent, all, err) }()
	made, failed := w.batchesOf(msgs, shared, c, t)
	if failed != nil {
		err = failed
		return
	}
	batches = made
	sent, all, err = x.tryBatches(t, batches)
}

// batchesOf returns batches of msgs for a codec and a type of transport. Sessions with
// the same messages and the same form share batches: sessions that need only the shared
// messages, and consecutive sessions with equal lists, such as the watchers of a
// prompt.
func (w *roundState) batchesOf(msgs []*message, shared bool, c Codec, t TryWriter) ([]*batch, error) {
	form := wireForm{c, reflect.TypeOf(t)}
	if w.last.form == form && w.last.shared == shared && (shared || slices.Equal(w.last.due, msgs)) {
		return w.last.batches, nil
	}
	w.forgetLast()
	if batches, ok := w.batches[form]; ok && shared {
		w.last = made{form, true, nil, batches}
		return batches, nil
	}
	batches, err := w.cut(c, t, msgs)
	if err != nil {
		w.recycle(batches)
		return nil, err
	}
	w.last = made{form, shared, msgs, batches}
	if shared {
		w.batches[form] = batches
	}
	return batches, nil
}

// forgetLast recycles the newest batches, unless other sessions may share them.
func (w *roundState) forgetLast() {
	if !w.last.shared {
		w.recycle(w.last.batches)
	}
	w.last = made{}
}

// address adds m to the lists of its sessions. s.reg is held.
func (s *shard) address(m *message, included []inclusion) {
	if m.to.everyone() {
		s.addressAll(m)
		return
	}
	if m.to.to != "" {
		for _, x := range s.byClient[m.to.to] {
			s.w.add(x, m)
		}
	}
	if m.to.promptID != "" {
		for _, x := range s.watchers[m.to.promptID] {
			if m.id > x.watch[m.to.promptID] {
				s.w.add(x, m)
			}
		}
		for _, x := range s.watchAll {
			s.w.add(x, m)
		}
	}
	for _, in := range included {
		s.w.add(in.x, m)
	}
}

// addressAll adds a broadcast to the lists of all sessions. s.reg is held.
func (s *shard) addressAll(m *message) {
	for _, x := range s.w.touched {
		s.w.add(x, m)
	}
	for _, x := range s.list {
		if m.id > s.newest {
			break
		}
		if x.from >= m.id { // joined after m was published: must not receive m
			s.w.touch(x)
		}
	}
	s.w.shared = append(s.w.shared, m)
}

// touch gives x its own list. The list begins with the shared messages so far.
func (w *roundState) touch(x *Session) {
	if x.lane.touched {
		return
	}
	x.lane.touched = true
	w.touched = append(w.touched, x)
	for _, m := range w.shared {
		w.add(x, m)
	}
}

func (w *roundState) add(x *Session, m *message) {
	w.touch(x)
	if !x.has(m) {
		x.lane.due = append(x.lane.due, m)
	}
}

// has reports whether the session already has m, the newest message: in its replay, or
// in its list for another reason.
func (x *Session) has(m *message) bool {
	return m.id <= x.from || len(x.lane.due) > 0 && x.lane.due[len(x.lane.due)-1] == m
}

// cut encodes messages with c and joins them to batches in the wire form of t. It
// leaves out messages that c refuses. The only possible error is a panic of t.
func (w *roundState) cut(c Codec, t TryWriter, msgs []*message) (bs []*batch, err error) {
	err = Protect(func() error {
		var b *batch
		for _, m := range msgs {
			f, ok := m.frame(c)
			if !ok {
				continue
			}
			if b == nil || len(b.wire) > 0 && len(b.wire)+len(f.Data) > batchBytes {
				b = w.batch()
				bs = append(bs, b)
			}
			b.msgs = append(b.msgs, m)
			if m.outcome {
				b.outcome = m.id
			}
			b.wire = t.AppendFrame(b.wire, f)
		}
		return nil
	})
	return bs, transportError(t, "AppendFrame", err)
}

func (w *roundState) batch() *batch {
	if n := len(w.pool); n > 0 {
		b := w.pool[n-1]
		w.pool = w.pool[:n-1]
		return b
	}
	return &batch{}
}

// reset prepares w for the next round. It returns the memory of the round's list, to be
// used again.
func (w *roundState) reset() (spare []*message) {
	for _, x := range w.touched {
		x.lane.touched = false
		clear(x.lane.due)
		if x.lane.due = x.lane.due[:0]; cap(x.lane.due) > 64 { // free the memory after a burst
			x.lane.due = nil
		}
	}
	w.forgetLast()
	for _, bs := range w.batches {
		w.recycle(bs)
	}
	clear(w.batches)
	clear(w.touched)
	clear(w.shared)
	clear(w.included)
	clear(w.round)
	spare = w.round[:0]
	*w = roundState{
		shared: w.shared[:0], touched: w.touched[:0], included: w.included[:0],
		batches: w.batches, pool: w.pool,
	}
	return spare
}

// recycle keeps some batches, with the memory of their wire forms, for later rounds.
func (w *roundState) recycle(bs []*batch) {
	for _, b := range bs {
		clear(b.msgs)
		b.msgs, b.wire, b.outcome = b.msgs[:0], b.wire[:0], 0
		if cap(b.wire) <= 4*batchBytes && len(w.pool) < 8 {
			w.pool = append(w.pool, b)
		}
	}
}
