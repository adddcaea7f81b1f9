package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/flow"
)

// find returns the newest header of a record, and its data, from the leader of the stream. It returns [flow.ErrNotFound]
// if there is no record; the header has the sequence then, too, if the record is gone.
func (s *recordStore) find(ctx context.Context, token string) (x recordAt, data []byte, err error) {
	own, known := s.known(token)
	subject, all := s.name+"."+token+".r", s.newestKnown()
	if !known { // most often there is none: Submit asks whether the id of a caller is new
		none, err := s.from.lacks(ctx, subject, all)
		switch {
		case err != nil:
			return recordAt{token: token}, nil, fmt.Errorf("nats: reading a record: %w", err)
		case none:
			return recordAt{token: token}, nil, flow.ErrNotFound
		}
	}
	m, err := s.from.last(ctx, subject, own.seq, all, inMessage(own.Size, own.Parts))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return recordAt{token: token}, nil, flow.ErrNotFound
	case err != nil:
		return recordAt{token: token}, nil, fmt.Errorf("nats: reading a record: %w", err)
	}
	at, err := header(token, m.Header.Get(metaKey), m.Sequence)
	switch {
	case err != nil:
		s.skip(m.Subject, m.Sequence)
		return *at, nil, fmt.Errorf("nats: %s: message %d cannot be read: %w", s.name, m.Sequence, err)
	case at.Gone:
		return *at, nil, flow.ErrNotFound
	}
	return *at, m.Data, nil
}

// Get implements [flow.Store]. It asks the leader of the stream, and so finds what any
// process has stored.
func (s *recordStore) Get(ctx context.Context, promptID string) (r flow.Record, err error) {
	ctx, stop, err := s.begin(ctx)
	if err != nil {
		return r, err
	}
	defer stop()
	if checkID("prompt", promptID) != nil {
		return r, flow.ErrNotFound
	}
	return s.get(ctx, token(promptID))
}

func (s *recordStore) get(ctx context.Context, token string) (r flow.Record, err error) {
	for {
		x, data, err := s.find(ctx, token)
		if err != nil {
			return r, err
		}
		if x.Parts > 0 {
			data, err = s.parts.get(ctx, token, x.Name, x.Parts, x.seq)
			if err != nil && !errors.Is(err, errNoPart) {
				return r, err
			}
		}
		if err == nil && len(data) == x.Size {
			if err := json.Unmarshal(data, &r); err == nil && r.Prompt != nil {
				return r, nil
			}
			return flow.Record{}, s.damaged(&x, "its data are no record")
		}
		if now, _, err := s.find(ctx, token); err == nil && now.seq == x.seq { // nobody has replaced it meanwhile
			return r, s.damaged(&x, fmt.Sprintf("it has %d of %d bytes, or parts are missing", len(data), x.Size))
		}
	}
}

// damaged returns the error of a record that cannot be read.
func (s *recordStore) damaged(x *recordAt, what string) error {
	s.skip(s.name+"."+x.token+".r", x.seq)
	return fmt.Errorf("nats: %s: the record of prompt %q: %s: %w; delete it", s.name, x.ID, what, errDamaged)
}

// List implements [flow.Store]. It yields what is stored when it begins, and perhaps what
// is stored later. A record that cannot be read is left out.
func (s *recordStore) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	return func(yield func(flow.Record, error) bool) {
		err := s.catchUp(ctx)
		for before := uint64(0); err == nil; {
			page := s.older(before)
			if len(page) == 0 {
				return
			}
			var records []flow.Record
			if records, err = s.page(ctx, page); err != nil {
				break
			}
			for _, r := range records {
				if r.Prompt != nil && !yield(r, nil) {
					return
				}
			}
			before = page[len(page)-1].Place
		}
		yield(flow.Record{}, err)
	}
}

func (s *recordStore) catchUp(ctx context.Context) error {
	ctx, stop, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return s.barrier(ctx)
}

// page returns the records of a page. A record that is gone or damaged is empty.
func (s *recordStore) page(ctx context.Context, page []recordAt) ([]flow.Record, error) {
	ctx, stop, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	records := make([]flow.Record, len(page))
	return records, atOnce(len(page), func(i int) (err error) {
		records[i], err = s.get(ctx, page[i].token)
		if errors.Is(err, flow.ErrNotFound) || errors.Is(err, errDamaged) {
			return nil
		}
		return err
	})
}
