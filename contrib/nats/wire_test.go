package nats_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// FuzzBatch checks that no bytes of another process do harm, and that records are read as
// they were written.
func FuzzBatch(f *testing.F) {
	f.Add(nats.AppendBatch())
	f.Add(nats.AppendBatch(
		nats.Record{PromptID: "p", To: "ann", Attempt: 2, Data: []byte(`{"type":"x","data":{}}`)},
		nats.Record{Kind: 1, Data: []byte{0, 0, 0, 99, 1}},
		nats.Record{Kind: 2, PromptID: "p"}, nats.Record{Kind: 3, To: "bob", Data: []byte("name.1")},
	))
	f.Add([]byte{2})
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := nats.ParseBatch(b)
		if err != nil {
			return
		}
		same, err := nats.ParseBatch(nats.AppendBatch(all...))
		require.NoError(t, err)
		require.Equal(t, all, same)
		for _, r := range all {
			require.GreaterOrEqual(t, r.Attempt, 0)
			if ev, err := nats.EventOf(r); err == nil {
				require.Equal(t, r.PromptID, ev.PromptID)
				require.NotNil(t, ev.Payload)
			}
		}
	})
}

func FuzzPartName(f *testing.F) {
	for _, text := range []string{"A-1", "A-1-0-1-2", "A-18446744073709551615-3-2-2", "-1", "A-0", "A-1-0-3-2", "A-1--1-1-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, batch, part, of, again, ok := nats.PartName(text)
		if !ok {
			return
		}
		require.Positive(t, batch)
		require.True(t, 1 <= part && part <= of)
		_, flight2, part2, of2, same, ok := nats.PartName(again)
		require.True(t, ok)
		require.Equal(t, again, same)
		require.Equal(t, []any{batch, part, of}, []any{flight2, part2, of2})
	})
}

// TestArrivals sends messages as processes do that are killed, or whose acknowledgements
// are lost. A message is NAME=DATA; +DURATION lets time pass.
func TestArrivals(t *testing.T) {
	orphans := map[string]uint64{"the beginning is missing": 2, "and begins again": 1}
	for name, c := range map[string]struct{ sent, want string }{
		"in order":                            {"A-1=a A-2=b", "a b"},
		"stored twice":                        {"A-1=a A-2=b A-1=a A-2=b A-3=c", "a b c"},
		"of two processes":                    {"A-1=a B-1=x A-2=b B-1=x", "a x b"},
		"parts":                               {"A-1-0-1-3=a A-1-0-2-3=b A-1-0-3-3=c A-2=d", "abc d"},
		"parts of two processes":              {"A-1-0-1-2=a B-1-0-1-2=x A-1-0-2-2=b B-1-0-2-2=y", "ab xy"},
		"a part stored twice":                 {"A-1-0-1-2=a A-1-0-1-2=a A-1-0-2-2=b A-1-0-2-2=b", "ab"},
		"an older part again":                 {"A-1-0-1-3=a A-1-0-2-3=b A-1-0-2-3=b A-1-0-3-3=c", "abc"},
		"begun again":                         {"A-1-0-1-2=a A-1-1-1-2=a A-1-0-2-2=b A-1-1-2-2=b", "ab"},
		"begun again although whole":          {"A-1-0-1-2=a A-1-0-2-2=b A-1-1-1-2=a A-1-1-2-2=b", "ab"},
		"killed in the middle":                {"A-1-0-1-2=a B-1=x", "x"},
		"the next part comes late":            {"A-1-0-1-2=a +5m B-1=x A-1-0-2-2=b", "x ab"},
		"the next part comes too late":        {"A-1-0-1-2=a +11m B-1=x A-1-0-2-2=b A-1-1-1-2=a A-1-1-2-2=b", "x ab"},
		"the beginning is missing":            {"A-1-0-2-3=b A-1-0-3-3=c A-2=d", "d"},
		"and begins again":                    {"A-1-0-3-3=c A-1-1-1-2=a A-1-1-2-2=b", "ab"},
		"after days":                          {"A-1=a A-2=b +25h A-2=b A-3=c", "a b c"},
		"a name of another program, no parts": {"x=1 A-1=a", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			a, at, got := nats.NewArrivals(), time.Unix(1e9, 0), []string{}
			for i, text := range strings.Fields(c.sent) {
				if d, err := time.ParseDuration(text); err == nil {
					at = at.Add(d)
					continue
				}
				id, data, _ := strings.Cut(text, "=")
				if whole, ok := a.Collect(id, data, uint64(i+1), at); ok {
					got = append(got, whole)
				}
			}
			require.Equal(t, c.want, strings.Join(got, " "))
			require.Equal(t, orphans[name], a.Orphan(), "only then something is lost")
		})
	}
}

// TestArrivalsKnowWhatIsNeeded checks that an event in parts keeps all of its messages.
func TestArrivalsKnowWhatIsNeeded(t *testing.T) {
	a, at := nats.NewArrivals(), time.Unix(1e9, 0)
	collect := func(name string, seq uint64) { a.Collect(name, "x", seq, at) }
	collect("A-1", 10)
	collect("A-2-0-1-3", 11)
	collect("B-1", 12)
	require.EqualValues(t, 11, a.From(13), "a batch that is not whole yet")
	collect("A-2-0-2-3", 13)
	collect("A-2-0-3-3", 14)
	require.EqualValues(t, 10, a.From(10))
	require.EqualValues(t, 11, a.From(12), "the event in message 14 begins before message 12")
	require.EqualValues(t, 11, a.From(14))
	require.EqualValues(t, 15, a.From(15))
	require.Zero(t, a.Orphan())
	collect("C-7-0-3-3", 20)
	require.EqualValues(t, 20, a.Orphan())
}

// TestArrivalsForgetPublishers: each life of a process is a publisher.
func TestArrivalsForgetPublishers(t *testing.T) {
	a, at := nats.NewArrivals(), time.Unix(1e9, 0)
	for n := range 1000 {
		at = at.Add(time.Hour)
		a.Collect(fmt.Sprintf("P%d-1", n), "x", uint64(2*n+1), at)
		a.Collect(fmt.Sprintf("LONG-%d", n+1), "x", uint64(2*n+2), at)
		require.LessOrEqual(t, a.Publishers(), 27)
	}
	_, ok := a.Collect("LONG-1000", "x", 5000, at)
	require.False(t, ok, "a publisher that lives is known")
}
