package nats

import (
	"context"
	"crypto/rand"
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
	if len(data) > s.parts.bytes {
		x.Name = rand.Text()
		if x.Parts, err = s.parts.put(ctx, x.token, x.Name, data); err != nil {
			return fmt.Errorf("nats: storing a part of the record of prompt %q: %w", x.ID, err)
		}
		data = nil
	}
	// The events of the run come before the record: if this process is killed after it,
	// another one only tells the end.
	if err := s.b.flushLog(ctx); err != nil {
		return fmt.Errorf("nats: storing the events before the record of prompt %q: %w", x.ID, err)
	}
	old, err := s.head(ctx, &x, data)
	if err != nil {
		return err
	}
	s.clean(ctx, &old, x.Name)
	s.trim(ctx, x.token)
	return nil
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

// head replaces the message of a record, and returns what was there before. If somebody
// else replaces it at the same time, the last one wins.
func (s *recordStore) head(ctx context.Context, x *recordAt, data []byte) (old recordAt, err error) {
	old, _ = s.known(x.token)
	for {
		if x.Place = old.Place; x.Gone {
			x.Place = 0
		}
		m, err := message(s.name+"."+x.token+".r", x, data, x.Gone)
		if err != nil {
			return old, err
		}
		seq, err := publish(ctx, s.b.js, m, jetstream.WithExpectLastSequencePerSubject(old.seq))
		if err == nil {
			s.knows(seq)
			_ = s.wait(ctx, seq) // it is stored, whether this process has read it or not
			return old, nil
		}
		if !conflicts(err) || pause(ctx) != nil {
			return old, fmt.Errorf("nats: storing the record of prompt %q: %w", x.ID, err)
		}
		found, _, err := s.find(ctx, x.token)
		switch {
		case errors.Is(err, flow.ErrNotFound) && x.Gone:
			s.lose(&old, found.seq)
			return recordAt{}, nil
		case errors.Is(err, flow.ErrNotFound), errors.Is(err, errDamaged):
			old = recordAt{seq: found.seq}
		case err != nil:
			return old, err
		default:
			old = found
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
	old, err := s.head(ctx, &recordAt{ID: id, token: x.token, Gone: true}, nil)
	if err == nil {
		s.clean(ctx, &old, "")
	}
	return err
}
