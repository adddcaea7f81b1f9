package nodebus

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// TextWriter sends a text that a node writes bit by bit, such as the tokens of a language
// model. [Context.Text] returns it. It is an [io.Writer] and an [io.StringWriter], so
// [fmt.Fprint] and [io.Copy] write to it. It is safe for concurrent use.
//
// Clients with an envelope receive each byte once, as [TextPiece] events. Small writes are
// joined: the executor decides how long a write may wait for the next, see
// [CallInfo].TextPause. Other clients, such as ComfyUI's front end, receive all of the text
// again and again, as [TextSoFar]: at most four times a second, and at most about 64 KiB a
// second. So they see a text of 400 KiB every six seconds. Of a text above 1 MiB, they
// receive the last MiB. When the call of the node ends, all clients receive the rest.
//
// The writer keeps the text in memory until the call ends.
//
// No lock is held while the Publisher of the call runs, so Publish may call the methods of
// the writer. But Publish must not call SendSync or End of the context: both wait until the
// pieces before them are published, so such a Publish would wait for itself.
type TextWriter struct {
	ctx      *Context // the call or the try whose text it is
	key      textKey
	sentName string    // for clients
	idle     sync.Cond // of mu: busy has become false

	mu     sync.Mutex
	text   strings.Builder // valid UTF-8
	tail   []byte          // the start of a character that is not complete
	sent   int             // the first bytes of text that were published
	shown  int             // the length of the newest TextSoFar
	anew   bool            // the text was reset: there is a piece to publish, even if it is empty
	pieced time.Time       // when the newest piece was published
	showed time.Time       // when the newest TextSoFar was published
	timer  *time.Timer     // runs while something waits to be published; nil before
	fires  time.Time       // when the timer fires; zero if it does not run
	busy   bool            // a goroutine publishes
	closed bool            // the call has ended
	err    error           // of Publish; the text ends with it
}

const (
	textPieceMin = 16 << 10 // so many bytes do not wait for further writes
	textShowMax  = 1 << 20
	textShowRate = 64 << 10 // bytes a second
	textShowMin  = 250 * time.Millisecond
)

var longAgo = time.Unix(0, 0) // the zero time means never

// textKey identifies a text of a node.
type textKey struct {
	of   *Context // the call or the try whose text it is
	name string
}

// texts holds the open texts of the calls that share a [CallInfo], by node.
type texts struct {
	mu   sync.Mutex
	open map[string]map[textKey]*TextWriter
}

// Text returns the writer of a text of the node. name identifies the text within the node; a
// node with one text may leave it empty. During a call of the node, the same name means the
// same text, which goes on where it was. A later call, or a further try of the same call,
// begins the text anew.
//
// If the node is called for each element of a list, each call has texts of its own. For
// clients, the names of the calls after the first end with "#" and [Context.Index]. In the
// first call, the name of a text is as it is, unless it ends with "#" and digits: then "#0"
// follows. So the texts "a#1" of the first call and "a" of the second are two texts:
// "a#1#0" and "a#1".
//
// Write returns [ErrClosed] after Run has returned, and otherwise the errors of
// [Hub.Publish]. After an error of Publish, each further Write returns the same error. A
// goroutine that an earlier try has left behind cannot write to the text of a later try.
//
// An event that the node sends with SendSync comes after everything that was written before.
func (c *Context) Text(name string) *TextWriter {
	for x := c; x != nil; x = x.of {
		x.state.Or(contextTexts) // before Ended: from now on, End looks for texts
	}
	owner, all := c.ofText(), c.call.texts
	key := textKey{owner, name}
	all.mu.Lock()
	defer all.mu.Unlock()
	if c.Ended() { // perhaps End has looked already
		w := newText(key)
		w.closed = true
		return w
	}
	of := all.open[c.id]
	for x := owner; x != nil && x.index == c.index; x = x.of.ofText() { // a try goes on with a text of its call
		if w := of[textKey{x, name}]; w != nil {
			return w
		}
	}
	if of == nil {
		if of = map[textKey]*TextWriter{}; all.open == nil {
			all.open = map[string]map[textKey]*TextWriter{}
		}
		all.open[c.id] = of
	}
	of[key] = newText(key)
	return of[key]
}

// ofText returns the context of the call, or of the try, that c is for. The texts of c are
// its texts: they end when it ends. ofText returns nil for nil.
func (c *Context) ofText() *Context {
	for c != nil && c.of != nil && c.state.Load()&contextWith != 0 {
		c = c.of
	}
	return c
}

func newText(key textKey) *TextWriter {
	w := &TextWriter{ctx: key.of, key: key, sentName: sentName(key.name, key.of.Index()), pieced: longAgo, showed: longAgo}
	w.idle.L = &w.mu
	return w
}

// textsOf returns the open texts of the node that the function selects.
func (c *Context) textsOf(selects func(*TextWriter) bool) (found []*TextWriter) {
	all := c.call.texts
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, w := range all.open[c.id] {
		if selects(w) {
			found = append(found, w)
		}
	}
	return found
}

// flushTexts publishes what was written to the texts of the node and waits to be published.
func (c *Context) flushTexts() {
	written := false
	for x := c; x != nil; x = x.of {
		written = written || x.state.Load()&contextTexts != 0
	}
	if written {
		for _, w := range c.textsOf(func(*TextWriter) bool { return true }) {
			w.mu.Lock()
			w.publish(textPieces)
			w.mu.Unlock()
		}
	}
}

// endTexts publishes the rest of the texts of c, and of the contexts made from c, and closes
// them.
func (c *Context) endTexts() {
	for _, w := range c.textsOf(func(w *TextWriter) bool { return w.ctx.isWithin(c) }) {
		w.close()
	}
}

// close publishes the rest and closes w.
func (w *TextWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.forget() // afterwards, so that another End waits, and also if Publish calls runtime.Goexit
	if !w.closed {
		w.closed = true
		w.add(nil, true)
	}
	w.publish(textAll)
}

// forget removes w from the open texts.
func (w *TextWriter) forget() {
	all, id := w.ctx.call.texts, w.ctx.id
	all.mu.Lock()
	defer all.mu.Unlock()
	if of := all.open[id]; of[w.key] == w {
		if delete(of, w.key); len(of) == 0 {
			delete(all.open, id)
		}
	}
}

// Write appends p to the text. A character may come in several writes; its bytes wait until
// it is complete. U+FFFD takes the place of each byte that is not part of a character.
// Write does not wait for clients.
func (w *TextWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, ErrClosed
	}
	if len(w.tail) == 0 && utf8.Valid(p) {
		w.text.Write(p)
	} else {
		w.add(p, false)
	}
	return w.wrote(len(p))
}

// WriteString does the same as Write.
func (w *TextWriter) WriteString(s string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, ErrClosed
	}
	if len(w.tail) == 0 && utf8.ValidString(s) {
		w.text.WriteString(s)
	} else {
		w.add([]byte(s), false)
	}
	return w.wrote(len(s))
}

// String returns the text so far, also after the call of the node.
func (w *TextWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// Reset removes everything that was written: the text begins anew. It returns the same
// errors as Write.
func (w *TextWriter) Reset() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	w.text.Reset()
	w.tail, w.sent, w.shown, w.anew = nil, 0, -1, true
	_, err := w.wrote(0)
	return err
}

// add appends bytes that may not be valid UTF-8. If last is true, an incomplete character is
// not kept.
func (w *TextWriter) add(p []byte, last bool) {
	p = slices.Concat(w.tail, p)
	for w.tail = nil; len(p) > 0; {
		r, n := utf8.DecodeRune(p)
		if n == 1 && !last && !utf8.FullRune(p) {
			w.tail = p
			return
		}
		w.text.WriteRune(r)
		p = p[n:]
	}
}

// wrote publishes what is due after a write of n bytes. w.mu is held.
func (w *TextWriter) wrote(n int) (int, error) {
	if !w.busy {
		w.publish(textDue)
	}
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// textDuty says what publish publishes.
type textDuty uint8

const (
	textDue    textDuty = iota // only what has waited long enough
	textPieces                 // all pieces
	textAll                    // all pieces, and then all of the text
)

// publish publishes what is due. One goroutine at a time publishes, so that the pieces come
// in order; the others wait for it. w.mu is held, but not while the event is published.
// Publish must not call the context of the text.
func (w *TextWriter) publish(duty textDuty) {
	for w.busy {
		w.idle.Wait()
	}
	w.busy = true
	defer func() { // deferred, because Publish may call runtime.Goexit
		w.busy = false
		w.arm()
		w.idle.Broadcast()
	}()
	for w.err == nil {
		p := w.next(duty, time.Now())
		if p == nil {
			return
		}
		w.send(p)
	}
}

// send publishes p without the lock, which is held when send is called and when it returns.
func (w *TextWriter) send(p Payload) {
	w.mu.Unlock()
	err := ErrClosed // unless Publish returns
	defer func() {
		w.mu.Lock()
		w.err = err
	}()
	c := w.ctx
	if c.call.Publisher == nil {
		err = errNoPublisher
		return
	}
	err = Protect(func() error {
		return c.call.Publisher.Publish(Event{PromptID: c.PromptID(), To: c.ClientID(), Attempt: c.Attempt(), Payload: p, Frozen: true})
	})
}

// next returns the next payload to publish, or nil. w.mu is held.
func (w *TextWriter) next(duty textDuty, now time.Time) Payload {
	text, c := w.text.String(), w.ctx
	pieceAt, showAt := w.due()
	switch {
	case !pieceAt.IsZero() && (duty > textDue || !now.Before(pieceAt)):
		piece := text[w.sent:]
		if len(piece) > pieceMax {
			piece = piece[:startOfRune(piece, pieceMax)]
		}
		p := TextPiece{Place: c.Place(), PromptID: c.PromptID(), Name: w.sentName, Offset: w.sent, Piece: piece}
		w.sent += len(piece)
		w.anew, w.pieced = false, now
		return p
	case !showAt.IsZero() && (duty == textAll || duty == textDue && !now.Before(showAt)):
		w.shown, w.showed = len(text), now
		if from := len(text) - textShowMax; from > 0 {
			text = text[startOfRune(text, from):]
		}
		return TextSoFar{PromptID: c.PromptID(), UniqueID: c.id, Text: text}
	}
	return nil
}

// due returns when the next piece and the next TextSoFar are due. A time is zero if there is
// nothing to publish. w.mu is held.
func (w *TextWriter) due() (piece, show time.Time) {
	length := w.text.Len()
	switch rest := length - w.sent; {
	case rest >= textPieceMin:
		piece = w.pieced // at once
	case rest > 0 || w.anew:
		piece = w.pieced.Add(w.ctx.call.TextPause)
	}
	if length != w.shown {
		pause := time.Duration(min(length, textShowMax)) * time.Second / textShowRate
		show = w.showed.Add(max(pause, textShowMin))
	}
	return piece, show
}

// arm starts the timer for what waits to be published. w.mu is held.
func (w *TextWriter) arm() {
	at, show := w.due()
	if at.IsZero() || !show.IsZero() && show.Before(at) {
		at = show
	}
	switch {
	case w.closed || w.err != nil || at.IsZero():
		if w.timer != nil {
			w.timer.Stop()
		}
		w.fires = time.Time{}
	case w.fires.IsZero() || at.Before(w.fires):
		w.fires = at
		if w.timer == nil {
			w.timer = time.AfterFunc(time.Until(at), w.tick)
		} else {
			w.timer.Reset(time.Until(at))
		}
	}
}

// tick publishes what is due. If another goroutine publishes, that goroutine starts the
// timer again.
func (w *TextWriter) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fires = time.Time{}
	if !w.closed && !w.busy {
		w.publish(textDue)
	}
}
