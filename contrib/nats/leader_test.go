package nats_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// lagging is a stream whose leader has just been chosen: it applies one more message at each
// question about its state.
type lagging struct {
	jetstream.Stream
	has      []uint64 // the sequences of a subject, in order; those that are not negative exist
	gone     map[uint64]bool
	applied  uint64
	reads    int
	atRead   func(*lagging) // called before each read
	disabled bool           // it never gets further
}

func (s *lagging) state(string) (last uint64, count int, err error) {
	if !s.disabled {
		s.applied++
	}
	for _, seq := range s.has {
		if seq <= s.applied && !s.gone[seq] {
			count++
		}
	}
	return s.applied, count, nil
}

func (s *lagging) read(seq uint64) (*jetstream.RawStreamMsg, error) {
	if s.reads++; s.atRead != nil {
		s.atRead(s)
	}
	for i := len(s.has) - 1; i >= 0; i-- {
		if at := s.has[i]; at <= s.applied && !s.gone[at] && (seq == 0 || seq == at) {
			return &jetstream.RawStreamMsg{Sequence: at}, nil
		}
	}
	return nil, jetstream.ErrMsgNotFound
}

func (s *lagging) GetLastMsgForSubject(context.Context, string) (*jetstream.RawStreamMsg, error) {
	return s.read(0)
}

func (s *lagging) GetMsg(_ context.Context, seq uint64, _ ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	return s.read(seq)
}

// TestNewLeaderKnowsLess asks a leader that has not applied all messages yet which this
// process knows: what it misses does not count.
func TestNewLeaderKnowsLess(t *testing.T) {
	absent := uint64(0)
	for name, c := range map[string]struct {
		stream   lagging
		get      bool   // a message, and not the newest
		own, all uint64 // what this process knows of the subject, and of the stream
		want     uint64
		reads    int
	}{
		"it has the message":                        {lagging{has: []uint64{5}, applied: 9}, false, 5, 9, 5, 1},
		"it has it, and this process knows nothing": {lagging{has: []uint64{5}, applied: 9}, false, 0, 9, 5, 1},
		"it has a newer one":                        {lagging{has: []uint64{5, 7}, applied: 9}, false, 5, 9, 7, 1},
		"it has not applied it":                     {lagging{has: []uint64{5}, applied: 2}, false, 5, 5, 5, 2},
		"it has an older one":                       {lagging{has: []uint64{3, 5}, applied: 4}, false, 5, 5, 5, 2},
		"this process has read later ones":          {lagging{has: []uint64{5}, applied: 2}, false, 0, 6, 5, 2},
		"there is none":                             {lagging{applied: 9}, false, 0, 9, absent, 1},
		"there is none, and it lags":                {lagging{applied: 5}, false, 0, 9, absent, 1},
		"it is gone":                                {lagging{has: []uint64{5}, gone: map[uint64]bool{5: true}, applied: 9}, false, 5, 9, absent, 1},
		"the newer one is gone":                     {lagging{has: []uint64{3, 5}, gone: map[uint64]bool{5: true}, applied: 9}, false, 5, 9, 3, 2},
		"get: it has the message":                   {lagging{has: []uint64{5}, applied: 9}, true, 5, 0, 5, 1},
		"get: it has not applied it":                {lagging{has: []uint64{5}, applied: 2}, true, 5, 0, 5, 2},
		"get: it is gone":                           {lagging{has: []uint64{5}, gone: map[uint64]bool{5: true}, applied: 9}, true, 5, 0, absent, 1},
		"get: it is replaced":                       {lagging{has: []uint64{5, 7}, gone: map[uint64]bool{5: true}, applied: 9}, true, 5, 0, absent, 2},
		"it applies it after the answer":            {lagging{has: []uint64{5}, applied: 4}, false, 0, 5, 5, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.stream
			l := nats.NewLeader(&s, s.state)
			var m *jetstream.RawStreamMsg
			var err error
			if c.get {
				m, err = l.Get(t.Context(), "s", c.own)
			} else {
				m, err = l.Last(t.Context(), "s", c.own, c.all)
			}
			if c.want == absent {
				require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
			} else {
				require.NoError(t, err)
				require.Equal(t, c.want, m.Sequence)
			}
			require.Equal(t, c.reads, s.reads)
		})
	}
}

// TestLacks asks whether a subject has no message. A leader that has not applied all messages
// which this process knows says nothing of it.
func TestLacks(t *testing.T) {
	for name, c := range map[string]struct {
		stream lagging
		all    uint64
		want   bool
	}{
		"there is none":                 {lagging{applied: 9}, 9, true},
		"there is one":                  {lagging{has: []uint64{5}, applied: 9}, 9, false},
		"there is none, and it lags":    {lagging{applied: 2}, 9, true},
		"it has not applied it":         {lagging{has: []uint64{5}, applied: 2}, 5, false},
		"it has not applied it, by far": {lagging{has: []uint64{5}, applied: 2}, 6, false},
		"it is gone":                    {lagging{has: []uint64{5}, gone: map[uint64]bool{5: true}, applied: 9}, 5, true},
		"this process knows nothing":    {lagging{has: []uint64{5}, applied: 2}, 0, true},
		"it has more than this process": {lagging{has: []uint64{5}, applied: 9}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.stream
			lacks, err := nats.NewLeader(&s, s.state).Lacks(t.Context(), "s", c.all)
			require.NoError(t, err)
			require.Equal(t, c.want, lacks)
			require.Zero(t, s.reads)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &lagging{applied: 4, disabled: true}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		_, err := nats.NewLeader(s, s.state).Lacks(ctx, "s", 5)
		require.ErrorIs(t, err, nats.ErrAway)
	})
	broken := natsgo.ErrPermissionViolation // what is refused is not asked again
	_, err := nats.NewLeader(&lagging{}, func(string) (uint64, int, error) { return 0, 0, broken }).Lacks(t.Context(), "s", 0)
	require.ErrorIs(t, err, broken)
}

// TestLeaderThatStaysBehind asks a leader that never has what this process knows.
func TestLeaderThatStaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lagging{applied: 4, disabled: true}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		_, err := nats.NewLeader(s, s.state).Newest(ctx, "s", 5)
		require.ErrorIs(t, err, nats.ErrAway)
		require.ErrorContains(t, err, "the leader of S has message 4, this process has 5")
	})
}

// TestLeaderWithoutState has a leader that does not tell its state: what has no answer is
// asked again, and what is refused is not.
func TestLeaderWithoutState(t *testing.T) {
	for _, broken := range []error{errors.New("no state"), natsgo.ErrPermissionViolation} {
		ctx, stop := context.WithCancel(t.Context())
		asked := 0
		_, err := nats.NewLeader(&lagging{}, func(string) (uint64, int, error) {
			if asked++; asked == 3 {
				stop()
			}
			return 0, 0, broken
		}).Last(ctx, "s", 1, 1)
		stop()
		require.ErrorIs(t, err, broken)
		require.Equal(t, errors.Is(broken, natsgo.ErrPermissionViolation), asked == 1)
	}
}

// TestAllReadsGoThroughTheLeader: no other code asks the stream for messages, because it
// would believe a leader that knows less.
func TestAllReadsGoThroughTheLeader(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if file == "leader.go" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, call := range []string{".GetLastMsgForSubject(", ".GetMsg("} {
			require.NotContains(t, string(text), call, file)
		}
	}
}
