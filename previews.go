package nodebus

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"sync"

	"github.com/nodebus/nodebus/internal/thumb"
)

// previews encodes the images of [Context.Preview] for the calls that share a [CallInfo].
// One goroutine does it, and only while an image waits. Each node has at most one image
// that waits: a newer image replaces it. No lock is held while an image is encoded or
// published.
type previews struct {
	mu      sync.Mutex
	waiting []*drawing // the first one is next
	now     *drawing   // the goroutine works on it; nil if on none
	running bool
	sent    chan struct{}    // closed when now was published; nil if nobody waits for it
	spare   []byte           // memory for the next copy
	numbers map[*Context]int // the number of pictures that a call has sent
}

// drawing is an image that is not published yet. previews.mu guards it.
type drawing struct {
	ctx        *Context
	img        image.Image // a copy; nil when it is encoded
	at         step        // the last progress of the node after it drew the image, if reported is true
	reported   bool
	dropped    bool // the node has sent a newer image
	publishing bool
}

// add queues a copy of an image, in the place of an older image of the node.
func (p *previews) add(c *Context, img image.Image) {
	c.draws()
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &drawing{ctx: c, img: img}
	if i := slices.IndexFunc(p.waiting, c.isNodeOf); i >= 0 {
		p.recycle(p.waiting[i])
		p.waiting[i] = d
		return
	}
	p.waiting = append(p.waiting, d)
	if !p.running {
		p.running = true
		go p.run()
	}
}

// draws marks the call of c, so that Progress and End look at the previews.
func (c *Context) draws() {
	for ; c != nil; c = c.of {
		c.state.Or(contextDraws)
	}
}

func (c *Context) isNodeOf(d *drawing) bool { return d.ctx.id == c.id }

// isWithin reports whether c is outer, or a part of it.
func (c *Context) isWithin(outer *Context) bool {
	for ; c != nil && c != outer; c = c.of {
	}
	return c != nil
}

// recycle keeps the memory of a copy that nobody uses any more. p.mu is held.
func (p *previews) recycle(d *drawing) {
	if b := thumb.Pixels(d.img); cap(b) > cap(p.spare) {
		p.spare = b
	}
	d.img = nil
}

// memory returns the memory for a copy; nil if there is none.
func (p *previews) memory() (b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, p.spare = p.spare, nil
	return b
}

// run encodes and publishes until no image waits.
func (p *previews) run() {
	ended := false
	defer func() {
		if !ended { // the publisher has called runtime.Goexit
			go p.run()
		}
	}()
	for d := p.next(); d != nil; d = p.next() {
		file, err := encodeJPEG(d.img)
		if p.begin(d) {
			p.publish(d, file, err)
		}
	}
	ended = true
}

func (p *previews) next() *drawing {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = nil
	if len(p.waiting) == 0 {
		p.running = false
		return nil
	}
	p.now = p.waiting[0]
	p.waiting = slices.Delete(p.waiting, 0, 1)
	return p.now
}

// begin reports whether an encoded image may be published.
func (p *previews) begin(d *drawing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recycle(d)
	d.publishing = !d.dropped && !d.ctx.Ended()
	return d.publishing
}

// publish publishes an image. Front ends draw a preview when progress comes, so it repeats
// what the node has reported since.
func (p *previews) publish(d *drawing, file []byte, err error) {
	defer p.finish(d)
	if err == nil {
		err = Protect(func() error { return d.ctx.sendImage(Preview{}, file) })
	}
	if err != nil && !is(err, ErrClosed) {
		_ = Protect(func() error { d.ctx.Logger().Warn("preview not sent", "error", err); return nil })
	}
	for at, more := p.report(d); more; at, more = p.report(d) {
		_ = Protect(func() error { d.ctx.report(at); return nil })
	}
}

// report returns the progress to repeat. If there is none, the image is done.
func (p *previews) report(d *drawing) (at step, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, more = d.at, d.reported; more {
		d.reported = false
		return at, true
	}
	p.done(d)
	return at, false
}

func (p *previews) finish(d *drawing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done(d)
}

// done wakes whoever waits for the image. p.mu is held.
func (p *previews) done(d *drawing) {
	d.publishing = false
	if p.sent != nil {
		close(p.sent)
		p.sent = nil
	}
}

// progress notes what a node has reported. It returns true if the goroutine will report it:
// a report that the goroutine repeats must not come after a newer report.
func (p *previews) progress(c *Context, at step) (later bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.now; d != nil && c.isNodeOf(d) {
		d.at, d.reported, later = at, true, d.publishing
	}
	if i := slices.IndexFunc(p.waiting, c.isNodeOf); i >= 0 {
		p.waiting[i].at, p.waiting[i].reported = at, true
	}
	return later
}

// end drops the images of a call that has ended, and waits for an image that is being
// published.
func (p *previews) end(c *Context) {
	p.settle(func(d *drawing) bool { return d.ctx.isWithin(c) })
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.numbers, c)
}

// settle drops images, and waits for an image that is being published.
func (p *previews) settle(which func(*drawing) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, which)
	for p.now != nil && which(p.now) {
		if !p.now.publishing {
			p.now.dropped = true
			return
		}
		if p.sent == nil {
			p.sent = make(chan struct{})
		}
		sent := p.sent
		p.mu.Unlock()
		<-sent
		p.mu.Lock()
	}
}

// number returns the number of the next picture of a call.
func (p *previews) number(first *Context) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.numbers == nil {
		p.numbers = map[*Context]int{}
	}
	p.numbers[first]++
	return p.numbers[first]
}

// encodeJPEG encodes a copy. An image with wrong fields makes the encoder panic.
func encodeJPEG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := Protect(func() error { return jpeg.Encode(&b, img, nil) })
	return b.Bytes(), err
}
