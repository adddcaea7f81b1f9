package nats

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// The previews that have come and whose place in the stream has not.
const (
	previewLen   = maxBatch
	previewBytes = 32 << 20
	previewWait  = 20 * time.Millisecond // for a preview whose name was read; all events wait with it
	previewRest  = time.Second           // after a preview that did not come, before the reader waits again
)

// nameKey is the header of a preview.
const nameKey = "Nb-Name"

// previews carries previews beside the stream, which keeps only their names. A process
// that does not have a preview when it reads its name leaves the preview out: it joined
// later, or the preview was lost on its way.
type previews struct {
	nc        *nats.Conn
	subject   string
	publisher string // of this process
	sub       *nats.Subscription
	sent      atomic.Uint64
	live      atomic.Bool // the reader has read what the stream had at the start

	mu    sync.Mutex
	names []string // in the order of arrival; some have lost their data to make room
	data  map[string][]byte
	bytes int
	came  chan struct{} // closed and replaced when a preview comes

	missed time.Time // when a preview did not come; only the reader uses it
}

// listen receives the previews of other processes.
func listen(nc *nats.Conn, subject, publisher string) (p *previews, err error) {
	p = &previews{nc: nc, subject: subject, publisher: publisher, data: map[string][]byte{}, came: make(chan struct{})}
	if p.sub, err = nc.Subscribe(subject, p.keep); err == nil {
		err = p.sub.SetPendingLimits(previewLen, previewBytes)
	}
	return p, err
}

func (p *previews) close() { _ = p.sub.Unsubscribe() }

// keep keeps a preview until its name comes.
func (p *previews) keep(m *nats.Msg) {
	name := m.Header.Get(nameKey)
	if publisher, _, _ := strings.Cut(name, "."); publisher == p.publisher {
		return // it comes back to its sender
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, has := p.data[name]; has || name == "" {
		return // no process of ours sends this
	}
	p.names, p.data[name] = append(p.names, name), m.Data
	p.bytes += len(m.Data)
	for len(p.names) > previewLen || p.bytes > previewBytes {
		p.drop(p.names[0])
		p.names = p.names[1:]
	}
	close(p.came)
	p.came = make(chan struct{})
}

// drop forgets the data of a preview. p.mu is held.
func (p *previews) drop(name string) {
	p.bytes -= len(p.data[name])
	delete(p.data, name)
}

// take returns a preview. If it has not come, and may still come, take waits a little: on
// its way, a preview may be slower than its name. take does not wait for previews that the
// stream had at the start, nor soon after a preview that did not come.
func (p *previews) take(name string) ([]byte, bool) {
	var late <-chan time.Time
	for {
		p.mu.Lock()
		data, ok := p.data[name]
		if ok {
			p.drop(name)
		}
		came := p.came
		p.mu.Unlock()
		if ok || !p.live.Load() || time.Since(p.missed) < previewRest {
			return data, ok
		}
		if late == nil {
			late = time.After(previewWait)
		}
		select {
		case <-came:
		case <-late:
			p.missed = time.Now()
		}
	}
}

// name makes e the name of a preview. Its data travel when the name does: see send.
func (p *previews) name(e *entry) {
	e.beside = e.data
	e.kind, e.data = recordPreview, []byte(p.publisher+"."+strconv.FormatUint(p.sent.Add(1), 10))
}

// send sends the data of a preview, before its name is stored. If that fails, only this
// process has the preview. The writer calls it: the connection may wait for the server.
func (p *previews) send(e *entry) {
	if e.beside != nil {
		_ = p.nc.PublishMsg(&nats.Msg{Subject: p.subject, Data: e.beside, Header: nats.Header{nameKey: {string(e.data)}}})
		e.beside = nil
	}
}
