package nats

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
)

const (
	retainKey  = "nodebus-retain"
	trimTime   = time.Minute     // between looks at the front of the stream
	trimMargin = 5 * time.Minute // longer than Retain: what the cache has given up stays in the stream
)

// openStream opens the stream of the log, and sets Retain in opts to the stream's.
func (l *eventLog) openStream(ctx context.Context, opts *nodebus.HubOptions) (jetstream.Stream, error) {
	if opts.Retain <= 0 {
		opts.Retain = 5 * time.Minute // the default of HubOptions
	}
	most := l.bus.opts.LogBytes
	if most == 0 {
		most = logMaxBytes
	}
	stream, err := l.bus.openStream(ctx, "LOG", jetstream.StreamConfig{
		Subjects: []string{l.subject}, MaxBytes: most, Discard: jetstream.DiscardOld,
		Duplicates: 2 * time.Minute, Metadata: map[string]string{retainKey: opts.Retain.String()},
	})
	if err != nil {
		return nil, err
	}
	if has := stream.CachedInfo().Config.MaxBytes; l.bus.opts.LogBytes != 0 && has != most {
		l.bus.logger.Warn("nats: the log has another size than Options.LogBytes; change it with: nats stream edit", "stream", l.stream, "bytes", has, "wanted", most)
	}
	retain, err := time.ParseDuration(stream.CachedInfo().Config.Metadata[retainKey])
	if err == nil && retain > 0 && retain != opts.Retain {
		l.bus.logger.Warn("nats: the log has another Retain than Options.Log; using that of the log", "stream", l.stream, "retain", retain, "wanted", opts.Retain)
		opts.Retain = retain
	}
	return stream, nil
}

// floors remembers which messages the cache needed, and when. A message that the cache has
// not needed for Retain and trimMargin is not needed by any other process either.
type floors struct {
	retain time.Duration

	mu   sync.Mutex
	all  []floor
	best uint64 // the newest floor that has become old
}

type floor struct {
	seq uint64 // the oldest message that the cache needs
	at  time.Time
}

// note adds a floor, and returns the newest one that is old enough; 0 if there is none.
func (f *floors) note(seq uint64, now time.Time) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, floor{seq, now})
	for len(f.all) > 0 && now.Sub(f.all[0].at) >= f.retain+trimMargin {
		f.best = max(f.best, f.all[0].seq)
		f.all = f.all[1:]
	}
	return f.best
}

// trimNow trims the stream now and then until ctx ends. Every process does it, and it does
// not matter who comes first.
func (l *eventLog) trimNow(ctx context.Context) {
	for {
		select {
		case <-time.After(trimTime - trimTime/8 + rand.N(trimTime/4)):
		case <-ctx.Done():
			return
		}
		if err := l.trim(ctx, time.Now()); err != nil && ctx.Err() == nil {
			l.bus.logger.Warn("nats: the front of the log cannot be trimmed; trying again", "stream", l.stream, "error", err)
		}
	}
}

// trim removes the front of the stream that no process needs.
func (l *eventLog) trim(ctx context.Context, now time.Time) error {
	best := l.floors.note(l.coming.from(l.cache.Oldest()>>placeBits), now)
	if best <= 1 {
		return nil
	}
	once, stop := context.WithTimeout(ctx, barrierTime)
	defer stop()
	stream, err := l.bus.js.Stream(once, l.stream)
	if err != nil {
		return err
	}
	if stream.CachedInfo().State.FirstSeq >= best {
		return nil
	}
	if epochOf(stream) != l.reading.epoch {
		return errors.New("the stream is another one than before")
	}
	return stream.Purge(once, jetstream.WithPurgeSequence(best))
}
