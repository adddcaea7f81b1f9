package nats

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

const (
	maxParts = 1 << 16 // of a record
	maxUnput = 1000    // see recordStore

	// A page of List is read at the same time.
	recordsPage  = 16
	recordsBytes = 1 << 20 // a larger record is a page of its own
)

// orphanTime is the age from which parts without a record are deleted, by the clock of the
// stream: when a message has come that is so much newer.
var orphanTime = time.Hour

// recordStore is a [flow.Store] in a stream. The subject of a record has one message: the
// record, or the name and number of the parts of a larger record. Each process reads the
// headers of all messages, and so knows the order and the sizes, but keeps no records in
// memory.
type recordStore struct {
	b      *Bus
	stream jetstream.Stream
	from   *leader
	name   string
	opts   flow.StoreOptions
	parts  partStore
	*reached
	reader   *reader
	trimming chan struct{} // capacity 1: who puts a value in deletes the oldest records
	skipped  sync.Once     // a damaged message was logged

	mu      sync.Mutex // not held while NATS or code of callers works
	byToken map[string]*recordAt
	all     []*recordAt // by place, the oldest first; some are no longer in byToken
	bytes   int
	orphans map[string]orphanPart // by subject: parts that perhaps no record has; see cleanOrphans
	cleaned time.Time             // of the stream, when orphans were looked at
	newest  time.Time             // of all messages
	unput   map[string]unput      // by token: records that this process could not put
}

// orphanPart is where a part is, and when it was stored.
type orphanPart struct {
	seq uint64
	at  time.Time
}

// recordAt is the header of a record, and where it is.
type recordAt struct {
	ID    string `json:"id"`
	Place uint64 `json:"place,omitempty"` // of the first Put; 0: the sequence of this message
	Size  int    `json:"size,omitempty"`
	Parts int    `json:"parts,omitempty"`
	Name  string `json:"name,omitempty"` // of this Put, and of the parts
	Gone  bool   `json:"gone,omitempty"`

	token string
	seq   uint64
}

// openStore opens the store of a bus.
func openStore(ctx context.Context, b *Bus) (*recordStore, error) {
	var o flow.StoreOptions
	if b.opts.Store != nil {
		o = *b.opts.Store
	}
	o.Len, o.Bytes = positive(o.Len, 10_000), positive(o.Bytes, 512<<20)
	o.RecordBytes = min(positive(o.RecordBytes, max(o.Bytes/4, 1)), o.Bytes)
	s := &recordStore{
		b: b, name: b.streamName("STORE"), opts: o, reached: newReached(), trimming: make(chan struct{}, 1),
		byToken: map[string]*recordAt{}, orphans: map[string]orphanPart{}, unput: map[string]unput{},
	}
	var err error
	s.stream, err = b.openStream(ctx, "STORE", jetstream.StreamConfig{
		Subjects: []string{s.name + ".*.r", partSubjects(s.name)}, MaxMsgsPerSubject: 1, AllowMsgTTL: true,
	})
	if err != nil {
		return nil, err
	}
	s.from = newLeader(b.way, s.stream)
	s.parts = newParts(s.from)
	s.reader = b.readerOf(s.stream, &reader{headersOnly: true, receive: s.receive, fail: s.fail, compare: s.forgetGone})
	s.reader.start()
	if err = s.barrier(ctx); err == nil {
		err = s.cleanOrphans(ctx)
	}
	if err != nil {
		_ = s.close()
		return nil, err
	}
	return s, nil
}

// positive returns n, or the default if n is zero or less.
func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// close ends the store.
func (s *recordStore) close() error {
	s.fail(nodebus.ErrClosed)
	s.reader.close()
	return nil
}

// barrier waits until this process has read the headers of all records.
func (s *recordStore) barrier(ctx context.Context) error {
	return s.from.catchUp(ctx, s.name+".>", s.newestKnown, s.wait)
}

// errDamaged is the error of a record that another program has written, or that is damaged.
var errDamaged = errors.New("it is damaged, or another program has written it")

// header reads the header of a record.
func header(name, text string, seq uint64) (x *recordAt, err error) {
	x = &recordAt{}
	if json.Unmarshal([]byte(text), x) != nil || x.Size < 0 || x.Parts < 0 || x.Parts > min(x.Size, maxParts) {
		return &recordAt{token: name, seq: seq}, errDamaged
	}
	x.token, x.seq, x.Place = name, seq, cmp.Or(x.Place, seq)
	return x, nil
}

// receive keeps the header of a message.
func (s *recordStore) receive(m jetstream.Msg, at *jetstream.MsgMetadata) {
	defer s.to(at.Sequence.Stream)
	words := strings.Split(strings.TrimPrefix(m.Subject(), s.name+"."), ".")
	if len(words) > 2 {
		s.part(m.Subject(), at.Sequence.Stream, at.Timestamp)
		return
	}
	x, err := header(words[0], m.Headers().Get(metaKey), at.Sequence.Stream)
	if err != nil {
		s.skip(m.Subject(), at.Sequence.Stream)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = at.Timestamp
	if old := s.byToken[x.token]; old != nil {
		s.remove(old)
	}
	if err == nil && !x.Gone {
		s.add(x)
	}
	s.sweep()
}

// part notes a part of a record that was stored at some time.
func (s *recordStore) part(subject string, seq uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest, s.orphans[subject] = at, orphanPart{seq, at}
}

// skip tells once that a message cannot be read.
func (s *recordStore) skip(subject string, seq uint64) {
	s.skipped.Do(func() {
		s.b.logger.Warn("nats: a message cannot be read and is left out, as are others like it; look at it with: nats stream get",
			"stream", s.name, "subject", subject, "sequence", seq)
	})
}

// add adds a header to the index. s.mu is held.
func (s *recordStore) add(x *recordAt) {
	s.byToken[x.token] = x
	s.bytes += x.Size
	at := s.at(x.Place)
	s.all = slices.Insert(s.all, at, x)
}

// at returns the index of the first header in s.all whose place is not less. s.mu is held.
func (s *recordStore) at(place uint64) int {
	at, _ := slices.BinarySearchFunc(s.all, place, func(x *recordAt, place uint64) int { return cmp.Compare(x.Place, place) })
	return at
}

// remove removes a header from the index. s.mu is held.
func (s *recordStore) remove(x *recordAt) {
	delete(s.byToken, x.token)
	s.bytes -= x.Size
}

// lose removes a header from the index whose record the stream does not have: this process
// was away until the message had expired that says so. If the stream has such a message,
// the reader will read it.
func (s *recordStore) lose(x *recordAt, has uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.byToken[x.token]; at != nil && at.seq == x.seq && has == 0 {
		s.remove(at)
		s.sweep()
	}
}

// forgetGone removes headers from the index whose records the stream does not have.
func (s *recordStore) forgetGone(ctx context.Context) error {
	s.mu.Lock()
	var all []*recordAt
	for _, x := range s.byToken {
		all = append(all, x)
	}
	s.mu.Unlock()
	stream, err := s.b.js.Stream(ctx, s.name) // a handle of its own
	if err != nil {
		return err
	}
	has, err := subjects(ctx, stream, s.name+".*.r")
	if err != nil {
		return err
	}
	for _, x := range all {
		if has[s.name+"."+x.token+".r"] > 0 {
			continue
		}
		found, _, err := s.find(ctx, x.token)
		switch {
		case errors.Is(err, flow.ErrNotFound):
			s.lose(x, found.seq)
		case err != nil && !errors.Is(err, errDamaged):
			return err
		}
	}
	return nil
}

// live reports whether a header is in the index. s.mu is held.
func (s *recordStore) live(x *recordAt) bool { return s.byToken[x.token] == x }

// sweep forgets removed headers: the oldest at once, the others when they are many. s.mu is
// held.
func (s *recordStore) sweep() {
	for len(s.all) > 0 && !s.live(s.all[0]) {
		s.all = s.all[1:]
	}
	if len(s.all) > 2*len(s.byToken)+64 {
		s.all = slices.DeleteFunc(s.all, func(x *recordAt) bool { return !s.live(x) })
	}
}

// known returns a copy of the header of a record, if this process has read one.
func (s *recordStore) known(token string) (x recordAt, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.byToken[token]; at != nil {
		return *at, true
	}
	return recordAt{token: token}, false
}

// older returns copies of the headers of some records whose place is less than before; the
// newest of all if before is 0. Together they have room in a page, or there is only one.
func (s *recordStore) older(before uint64) (page []recordAt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := len(s.all)
	if before > 0 {
		at = s.at(before)
	}
	bytes := 0
	for at--; at >= 0 && len(page) < recordsPage; at-- {
		x := s.all[at]
		if !s.live(x) {
			continue
		}
		if bytes += x.Size; bytes > recordsBytes && len(page) > 0 {
			break
		}
		page = append(page, *x)
	}
	return page
}

// oldest returns the oldest record that must be deleted, so that the others have room; but
// not the record with the token kept.
func (s *recordStore) oldest(kept string) (x recordAt, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byToken) < 2 || len(s.byToken) <= s.opts.Len && s.bytes <= s.opts.Bytes {
		return x, false
	}
	for _, x := range s.all {
		if s.live(x) && x.token != kept {
			return *x, true
		}
	}
	return x, false
}

// cleanOrphans deletes the parts of records that a process has not completed, because it
// was killed, and of records that were replaced just then. Younger parts may belong to a
// record that another process is storing. So only what this process has read is deleted, and not
// what may have come to the same subject since then.
func (s *recordStore) cleanOrphans(ctx context.Context) error {
	for subject, x := range s.oldOrphans() {
		if err := s.purge(ctx, subject, x.seq); err != nil {
			return fmt.Errorf("nats: deleting parts of records that were never completed: %w", err)
		}
	}
	return nil
}

// oldOrphans returns the subjects of parts for cleanOrphans. Only times of the stream are
// compared: this process may have another clock.
func (s *recordStore) oldOrphans() map[string]orphanPart {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := map[string]orphanPart{}
	if s.newest.Sub(s.cleaned) < orphanTime/4 { // it was just done
		return old
	}
	s.cleaned = s.newest
	for subject, part := range s.orphans {
		if s.newest.Sub(part.at) < orphanTime {
			continue
		}
		words := strings.Split(strings.TrimPrefix(subject, s.name+"."), ".")
		if x := s.byToken[words[0]]; x == nil || x.Name != words[2] {
			old[subject] = part
		}
		delete(s.orphans, subject)
	}
	return old
}

// purge deletes the messages of some subjects, up to a sequence.
func (s *recordStore) purge(ctx context.Context, subject string, upTo uint64) error {
	_, err := asking(ctx, ifConnected(s.b.nc, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(upTo+1))
	}))
	return err
}
