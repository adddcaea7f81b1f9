package nats

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Put implements [flow.Store]. The parts of a large record come first, so that a record is
// whole when it is seen. A record that is replaced keeps its place.
func (s *recordStore) Put(ctx context.Context, r flow.Record) error {
	ctx, stop, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	data, err := s.data(r)
	if err != nil {
		return err
	}
	x := recordAt{ID: r.Prompt.ID, token: token(r.Prompt.ID), Size: len(data)}
	// The events of the run come before the record: if this process is killed after it,
	// another one only tells the end.
	if err := s.b.flushLog(ctx); err != nil {
		return fmt.Errorf("nats: storing the events before the record of prompt %q: %w", x.ID, err)
	}
	old, err := s.put(ctx, &x, data)
	if err != nil {
		return err
	}
	s.clean(ctx, &old, x.Name)
	s.trim(ctx, x.token)
	if err := s.cleanOrphans(ctx); err != nil { // the next process that opens the store does it
		s.b.logger.Debug("nats: the store is not swept", "stream", s.name, "error", err)
	}
	return nil
}

// unput is a record that could not be put. It may be in the stream, or become so, and so may
// its parts.
type unput struct {
	hash [sha256.Size]byte
	name string
	old  recordAt // what the record should have replaced
}

// errReplaced means that another record was stored since the Put before.
var errReplaced = errors.New("nats: the record was replaced")

// put puts a record, and returns what it has replaced. If the Put before has failed with the same
// data, it stores the record and its parts in the same place: a caller that tries for long leaves
// one copy. But if somebody has stored another record since, the parts need a new name: that
// record may have replaced a record with these parts, and whoever has stored it deletes them,
// perhaps just now.
func (s *recordStore) put(ctx context.Context, x *recordAt, data []byte) (old recordAt, err error) {
	now := unput{hash: sha256.Sum256(data), name: rand.Text()}
	now.old, _ = s.known(x.token)
	s.mu.Lock()
	before, again := s.unput[x.token]
	delete(s.unput, x.token)
	s.mu.Unlock()
	if again = again && before.hash == now.hash; again {
		now = before
	}
	for {
		x.Name = now.name
		switch err = s.putAs(ctx, x, data, &now.old, again); {
		case err == nil:
			if before.name != "" && before.name != now.name { // no record has its parts any more
				s.clean(ctx, &recordAt{ID: x.ID, token: x.token, Name: before.name, Parts: 1}, x.Name)
			}
			return now.old, nil
		case !errors.Is(err, errReplaced):
			s.keepUnput(x.token, now)
			return now.old, err
		}
		again, now.name = false, rand.Text()
	}
}

// putAs stores a record with a name, and its parts before it. For old and only, see head.
func (s *recordStore) putAs(ctx context.Context, x *recordAt, data []byte, old *recordAt, only bool) (err error) {
	if len(data) <= s.parts.bytes() {
		x.Parts = 0
		return s.head(ctx, x, data, old, only)
	}
	if x.Parts, err = s.parts.put(ctx, x.token, x.Name, data); err != nil {
		return fmt.Errorf("nats: storing a part of the record of prompt %q: %w", x.ID, err)
	}
	return s.head(ctx, x, nil, old, only)
}

// keepUnput remembers a record that could not be put.
func (s *recordStore) keepUnput(token string, x unput) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.unput {
		if len(s.unput) < maxUnput {
			break
		}
		delete(s.unput, other) // cleanOrphans deletes its parts
	}
	s.unput[token] = x
}

// data returns the JSON of a record, reduced if it is too large.
func (s *recordStore) data(r flow.Record) (data []byte, err error) {
	if err := checkID("prompt", r.Prompt.ID); err != nil {
		return nil, err
	}
	if data, err = toJSON(r); err != nil {
		return nil, fmt.Errorf("nats: the record of prompt %q has no JSON, so NATS cannot keep it: %w", r.Prompt.ID, err)
	}
	// The size of a record in memory and the size of its JSON differ, so that a smaller
	// limit for memory may be needed.
	for limit := s.opts.RecordBytes; len(data) > s.opts.RecordBytes && limit > 0; limit /= 2 {
		smaller := r.Reduce(limit)
		if !smaller.Reduced {
			continue
		}
		if data, err = toJSON(smaller); err != nil {
			return nil, fmt.Errorf("nats: the reduced record of prompt %q has no JSON, so NATS cannot keep it: %w", r.Prompt.ID, err)
		}
	}
	return data, nil
}

// toJSON returns the JSON of a value that may have methods of callers, which may panic.
func toJSON(v any) (data []byte, err error) {
	err = nodebus.Protect(func() (err error) {
		data, err = json.Marshal(v)
		return err
	})
	return data, err
}

// head replaces the message of a record. old is what this process knows of it, and later what
// was there before. If somebody else replaces it at the same time, the last one wins; but if
// only is true, head returns errReplaced then. A stream refuses what expects an older message,
// also if the newer message is this one, and its answer was late: so the record has a name.
func (s *recordStore) head(ctx context.Context, x *recordAt, data []byte, old *recordAt, only bool) error {
	for {
		if x.Place = old.Place; x.Gone {
			x.Place = 0
		}
		m, err := message(s.name+"."+x.token+".r", x, data, x.Gone)
		if err != nil {
			return err
		}
		seq, err := s.b.way.publish(ctx, m, jetstream.WithExpectLastSequencePerSubject(old.seq))
		if err == nil {
			s.knows(seq)
			_ = s.wait(ctx, seq) // it is stored, whether this process has read it or not
			return nil
		}
		if !conflicts(err) || pause(ctx) != nil {
			return fmt.Errorf("nats: storing the record of prompt %q: %w", x.ID, err)
		}
		found, _, err := s.find(ctx, x.token)
		none := errors.Is(err, flow.ErrNotFound)
		switch {
		case none && x.Gone:
			s.lose(old, found.seq)
			*old = recordAt{}
			return nil
		case err != nil && !none && !errors.Is(err, errDamaged):
			return err
		case err == nil && x.Name != "" && found.Name == x.Name: // an acknowledgement was lost
			s.knows(found.seq)
			_ = s.wait(ctx, found.seq)
			return nil
		}
		replaced := found.seq != old.seq
		if *old = found; err != nil {
			*old = recordAt{seq: found.seq}
		}
		if only && replaced {
			return errReplaced
		}
	}
}

// clean deletes the parts of a record that was replaced by one with parts of another name.
// If it fails, a process that opens the store later deletes them.
func (s *recordStore) clean(ctx context.Context, x *recordAt, name string) {
	if x.Parts == 0 || x.Name == name {
		return
	}
	if err := s.parts.drop(ctx, x.token, x.Name); err != nil {
		s.b.logger.Warn("nats: the parts of a replaced record stay until the store is opened again", "stream", s.name, "prompt", x.ID, "error", err)
	}
}

// trim deletes the oldest records until the others have room. The record with the token
// kept stays. If trim fails, the next Put trims.
func (s *recordStore) trim(ctx context.Context, kept string) {
	if _, full := s.oldest(kept); !full {
		return
	}
	select {
	case s.trimming <- struct{}{}:
		defer func() { <-s.trimming }()
	case <-ctx.Done():
		return
	}
	for {
		x, full := s.oldest(kept)
		if !full {
			return
		}
		if err := s.delete(ctx, x.ID); err != nil {
			s.b.logger.Warn("nats: the oldest record cannot be deleted yet, so there are more records than the limits of the store allow",
				"stream", s.name, "prompt", x.ID, "error", err)
			return
		}
	}
}

// Delete implements [flow.Store].
func (s *recordStore) Delete(ctx context.Context, promptIDs ...string) error {
	ctx, stop, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return atOnce(len(promptIDs), func(i int) error {
		if checkID("prompt", promptIDs[i]) != nil {
			return nil // Put keeps none
		}
		return s.delete(ctx, promptIDs[i])
	})
}

// delete deletes a record, if there is one. It returns after this process has read that
// the record is gone.
func (s *recordStore) delete(ctx context.Context, id string) error {
	x, known := s.known(token(id))
	if !known {
		if _, _, err := s.find(ctx, x.token); errors.Is(err, flow.ErrNotFound) {
			return nil
		} else if err != nil && !errors.Is(err, errDamaged) {
			return err
		}
	}
	err := s.head(ctx, &recordAt{ID: id, token: x.token, Gone: true}, nil, &x, false)
	if err == nil {
		s.clean(ctx, &x, "")
	}
	return err
}
