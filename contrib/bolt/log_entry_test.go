package bolt_test

import (
	"testing"

	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
)

// FuzzLogEntry checks that no bytes of a damaged file do harm, and that an entry is read as
// it was written.
func FuzzLogEntry(f *testing.F) {
	for _, e := range []bolt.Entry{
		{},
		{At: 1, PromptID: "p", To: "ann", Attempt: 2, Newest: 3, Key: "progress\x00k", Data: []byte(`{"type":"x","data":{}}`)},
		{At: -1, To: "bob", Binary: true, Data: []byte{0, 0, 0, 99, 1}},
	} {
		f.Add(e.Append(nil))
	}
	f.Add([]byte{1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // a foreign binary frame without bytes
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := bolt.ParseEntry(b)
		if err != nil {
			return
		}
		again := e.Append(nil)
		require.LessOrEqual(t, len(again), len(b), "the numbers of b may be longer than they need be")
		require.LessOrEqual(t, len(again), bolt.EntrySize(b))
		same, err := bolt.ParseEntry(again)
		require.NoError(t, err)
		require.Equal(t, e, same)
		if ev, err := bolt.EntryEvent(b); err == nil {
			require.Equal(t, e.PromptID, ev.PromptID)
			require.NotNil(t, ev.Payload)
		}
	})
}

func TestLogEntryErrors(t *testing.T) {
	whole := bolt.Entry{PromptID: "prompt", To: "ann", Key: "key", Data: []byte("data")}.Append(nil)
	for n := range len(whole) - len("data") {
		_, err := bolt.ParseEntry(whole[:n])
		require.Error(t, err, "%d bytes", n)
	}
	for name, c := range map[string]struct {
		at   int
		to   byte
		want string
	}{
		"a newer version": {0, 2, "version 2"},
		"a newer flag":    {1, 0x80, "unknown flags 0x80"},
	} {
		t.Run(name, func(t *testing.T) {
			b := append([]byte(nil), whole...)
			b[c.at] = c.to
			_, err := bolt.ParseEntry(b)
			require.ErrorContains(t, err, c.want)
		})
	}
}
