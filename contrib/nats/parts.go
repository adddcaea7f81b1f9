package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	partMax  = 512 << 10 // the largest part of a value that is too large for one message
	parallel = 8         // requests at the same time for one call
)

// errNoPart means that a part of a value is missing: the value was replaced or removed.
var errNoPart = errors.New("nats: a part is missing")

// partStore stores values that are too large for one message. The subject of a part is
// STREAM.TOKEN.c.NAME.NUMBER. Each value has a name of its own, so that a value that
// replaces another one never has parts of both. Parts are stored before the message that
// names them: who sees that message finds all parts.
type partStore struct {
	way  *way
	from *leader
	name string // of the stream
}

func newParts(from *leader) partStore {
	return partStore{way: from.way, from: from, name: from.name}
}

// bytes returns the size of the largest value that needs no parts, and of a part. The next server
// may have another limit.
func (p *partStore) bytes() int {
	if most := int(p.way.nc.MaxPayload() / 2); most > 0 { // the other half is for headers
		return min(partMax, most)
	}
	return partMax
}

// inMessage returns how many bytes of a value are in the message that names it.
func inMessage(size, parts int) int {
	if parts > 0 {
		return 0
	}
	return size
}

// partSubjects returns the subjects of all parts in a stream.
func partSubjects(stream string) string { return stream + ".*.c.*.*" }

func (p *partStore) subject(token, name, number string) string {
	return p.name + "." + token + ".c." + name + "." + number
}

// put stores a value, and returns the number of its parts.
func (p *partStore) put(ctx context.Context, token, name string, data []byte) (int, error) {
	all := slices.Collect(slices.Chunk(data, p.bytes()))
	return len(all), atOnce(len(all), func(i int) error {
		_, err := p.way.publish(ctx, &nats.Msg{Subject: p.subject(token, name, strconv.Itoa(i)), Data: all[i]})
		return err
	})
}

// get returns a value that the message by names. It returns errNoPart if the value has
// been removed.
func (p *partStore) get(ctx context.Context, token, name string, count int, by uint64) (data []byte, err error) {
	all := make([][]byte, count)
	err = atOnce(count, func(i int) error {
		subject := p.subject(token, name, strconv.Itoa(i))
		m, err := p.from.last(ctx, subject, 0, by, p.bytes())
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return errNoPart
		}
		if err != nil {
			return fmt.Errorf("nats: reading %s: %w", subject, err)
		}
		all[i] = m.Data
		return nil
	})
	return slices.Concat(all...), err
}

// drop removes a value.
func (p *partStore) drop(ctx context.Context, token, name string) error {
	return p.from.stream.Purge(ctx, jetstream.WithPurgeSubject(p.subject(token, name, "*")))
}

// atOnce calls f for the numbers below n, several at the same time, and returns the first
// error. After an error it begins no more calls.
func atOnce(n int, f func(i int) error) error {
	if n == 1 {
		return f(0)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	for range min(n, parallel) {
		all.Go(func() {
			for {
				mu.Lock()
				i := next
				if next++; i >= n || first != nil {
					mu.Unlock()
					return
				}
				mu.Unlock()
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return first
}
