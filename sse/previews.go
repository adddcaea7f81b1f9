package sse

import (
	"container/list"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// previews holds the images of previews for a short time.
type previews struct {
	age      time.Duration
	maxBytes int

	mu      sync.Mutex
	byToken map[string]*list.Element
	order   list.List // of *preview, the oldest first
	bytes   int
	sweeper *time.Timer // nil if no image is kept
}

type preview struct {
	token, typ string
	image      []byte
	until      time.Time
}

func newPreviews(age time.Duration, maxBytes int) *previews {
	return &previews{age: age, maxBytes: maxBytes, byToken: map[string]*list.Element{}}
}

// put keeps a copy of an image, and removes the oldest images if there are too many
// bytes. An image that is kept already is kept longer.
func (p *previews) put(token, typ string, image []byte) {
	if previewCost(image) > p.maxBytes {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	until := time.Now().Add(p.age)
	if e := p.byToken[token]; e != nil {
		e.Value.(*preview).until = until
		p.order.MoveToBack(e)
		return
	}
	kept := &preview{token, typ, append([]byte(nil), image...), until}
	p.byToken[token] = p.order.PushBack(kept)
	p.bytes += previewCost(image)
	for p.bytes > p.maxBytes {
		p.remove(p.order.Front())
	}
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.age, p.sweep)
	}
}

// previewCost is what an image counts in bytes. The constant stands for the entry, so
// that the number of small images has a limit, too.
func previewCost(image []byte) int { return len(image) + 512 }

// remove removes an image. p.mu is held.
func (p *previews) remove(e *list.Element) {
	gone := p.order.Remove(e).(*preview)
	delete(p.byToken, gone.token)
	p.bytes -= previewCost(gone.image)
}

// sweep removes the images that are too old.
func (p *previews) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for e := p.order.Front(); e != nil; e = p.order.Front() {
		if left := e.Value.(*preview).until.Sub(now); left > 0 {
			p.sweeper.Reset(left)
			return
		}
		p.remove(e)
	}
	p.sweeper = nil
}

// get returns a kept image, or nil.
func (p *previews) get(token string) *preview {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.byToken[token]; e != nil && time.Now().Before(e.Value.(*preview).until) {
		kept := *e.Value.(*preview)
		return &kept
	}
	return nil
}

// serve answers a request for an image, whose token is in the query. Whoever knows the token
// may see the image.
func (p *previews) serve(w http.ResponseWriter, r *http.Request, q url.Values) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "a preview is read with GET", http.StatusMethodNotAllowed)
		return
	}
	kept := p.get(q.Get("preview"))
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if kept == nil {
		http.Error(w, "the server no longer keeps this preview", http.StatusNotFound)
		return
	}
	h.Set("Content-Type", kept.typ)
	h.Set("Content-Length", strconv.Itoa(len(kept.image)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // pages of Options.Origins show it, too
	w.WriteHeader(http.StatusOK)                          // routers may have noted another status
	if r.Method == http.MethodGet {
		_, _ = w.Write(kept.image)
	}
}
