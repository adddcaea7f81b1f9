package nodebus

import (
	"reflect"
	"slices"
)

// batchBytes is the size above which no further frame joins a batch: a write of that
// many bytes is as cheap per byte as a larger one.
const batchBytes = 64 << 10

// roundState is the worker's own. It says how far a round is, so that another
// goroutine can go on with the round if foreign code ends the worker's goroutine.
type roundState struct {
	round   []*message
	filters []*Session
	asked   int  // how many questions to filters were asked
	sorted  bool // the lists below are complete
	written int  // how many sessions of touched and then of all have been written to

	shared   []*message // due to everyone
	touched  []*Session // those that are due something else too, or not all of it
	all      []*Session
	included []inclusion // answers of filters, in the order of the messages

	batches map[wireForm][]*batch // of shared
	last    made                  // of shared or of the due of a touched session
	pool    []*batch
}

// made are batches and what they were made of.
type made struct {
	form    wireForm
	shared  bool // made of the shared messages; otherwise of due
	due     []*message
	batches []*batch
}

// inclusion is the answer of a session's Include that it wants a message.
type inclusion struct {
	m *message
	x *Session
}

// deliver finds who is due what, and writes it.
func (s *shard) deliver() {
	w := &s.w
	if !w.sorted {
		s.sort()
	}
	for n := len(w.touched); w.written < n; {
		x := w.touched[w.written]
		w.written++
		w.send(x, x.due, false)
	}
	if len(w.shared) > 0 {
		for n := len(w.touched); w.written < n+len(w.all); {
			x := w.all[w.written-n]
			w.written++
			if !x.touched {
				w.send(x, w.shared, true)
			}
		}
	}
	s.spare = w.reset()
}

// sort puts the messages of the round on the lists of those who are due them.
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
// copied is not due the messages of this round: they are older.
func (w *roundState) ask() {
	for w.asked < len(w.round)*len(w.filters) {
		m, x := w.round[w.asked/len(w.filters)], w.filters[w.asked%len(w.filters)]
		w.asked++
		if m.to.promptID != "" && m.id > x.from && !x.isFor(m.to) && x.wantsIncluded(m) {
			w.included = append(w.included, inclusion{m, x})
		}
	}
}

// wireForm is what the bytes on the wire depend on, beside the messages.
type wireForm struct {
	codec     Codec
	transport reflect.Type
}

// batch is a run of messages that are one write. Sessions share its wire form.
type batch struct {
	msgs []*message
	wire []byte
}

// send writes messages to one session, or queues them. It holds no lock while it
// calls the session's codec and transport.
func (w *roundState) send(x *Session, msgs []*message, shared bool) {
	c, t := x.claim()
	if t == nil {
		x.enqueue(msgs)
		return
	}
	var batches []*batch
	sent, all, err := 0, true, errWriterGone // unless foreign code returns
	defer func() { x.release(batches[sent:], all, err) }()
	made, failed := w.batchesOf(msgs, shared, c, t)
	if failed != nil {
		err = failed
		return
	}
	batches = made
	sent, all, err = tryBatches(t, batches)
}

// batchesOf returns messages in the wire form of a session. Sessions with the same
// messages and the same form share the batches: all that are due the shared messages,
// and sessions one after the other with equal lists, as the watchers of a prompt.
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

// forgetLast makes the batches that were made last available again, unless other
// sessions may share them.
func (w *roundState) forgetLast() {
	if !w.last.shared {
		w.recycle(w.last.batches)
	}
	w.last = made{}
}

// address puts m on the lists of those who are due it. s.reg is held.
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
			s.w.add(x, m)
		}
		for _, x := range s.watchAll {
			s.w.add(x, m)
		}
	}
	for _, in := range included {
		s.w.add(in.x, m)
	}
}

// addressAll puts a broadcast on the list of everyone. s.reg is held.
func (s *shard) addressAll(m *message) {
	for _, x := range s.w.touched {
		s.w.add(x, m)
	}
	for _, x := range s.list {
		if m.id > s.newest {
			break
		}
		if x.from >= m.id { // joined since: not due what is older
			s.w.touch(x)
		}
	}
	s.w.shared = append(s.w.shared, m)
}

// touch gives x a list of its own, beginning with what everyone is due so far.
func (w *roundState) touch(x *Session) {
	if x.touched {
		return
	}
	x.touched = true
	w.touched = append(w.touched, x)
	for _, m := range w.shared {
		w.add(x, m)
	}
}

func (w *roundState) add(x *Session, m *message) {
	w.touch(x)
	if !x.has(m) {
		x.due = append(x.due, m)
	}
}

// has reports whether the session has m, the newest, in its replay or is due it
// for another reason.
func (x *Session) has(m *message) bool {
	return m.id <= x.from || len(x.due) > 0 && x.due[len(x.due)-1] == m
}

// cut encodes messages with c and joins them into batches in the wire form of t. A
// message that c refuses is left out. The only error is a panic of t.
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

// reset makes w ready for the next round. It returns the memory of the round's list.
func (w *roundState) reset() (spare []*message) {
	for _, x := range w.touched {
		x.touched = false
		clear(x.due)
		if x.due = x.due[:0]; cap(x.due) > 64 { // give back the memory of a burst
			x.due = nil
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

// recycle keeps some batches, and the memory of their wire forms, for later rounds.
func (w *roundState) recycle(bs []*batch) {
	for _, b := range bs {
		clear(b.msgs)
		b.msgs, b.wire = b.msgs[:0], b.wire[:0]
		if cap(b.wire) <= 4*batchBytes && len(w.pool) < 8 {
			w.pool = append(w.pool, b)
		}
	}
}
