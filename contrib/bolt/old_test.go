package bolt_test

import (
	"compress/gzip"
	"io"
	"os"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestOldFile opens testdata/version1.db.gz, which the first program with this version of the
// format has written: prompts with and without secrets, a lease, a record, a signal, and
// events with payloads of every kind. Never write this file again: files of users are like it.
func TestOldFile(t *testing.T) {
	path := newPath(t)
	unpack(t, "testdata/version1.db.gz", path)
	opts := &bolt.Options{
		SecretKey: []byte("0123456789abcdef0123456789abcdef"),
		Log:       &nodebus.HubOptions{Retain: 200 * 365 * 24 * time.Hour},
	}
	for range 2 { // the second time as this program has left it
		db := open(t, path, opts)
		var listed []string
		for x, err := range db.Queue().List(t.Context()) {
			require.NoError(t, err)
			listed = append(listed, x.Prompt.ID)
		}
		require.Equal(t, []string{"c", "a", "b"}, listed, "c was moved")
		require.Equal(t, []string{
			`1 "p" false "{\"type\":\"execution_start\",\"data\":{\"prompt_id\":\"p\",\"timestamp\":0}}"`,
			`2 "p" false "{\"type\":\"progress\",\"data\":{\"value\":1,\"max\":2,\"prompt_id\":\"p\",\"node\":\"1\"}}"`,
			`3 "p" false "{\"type\":\"executing\",\"data\":{\"node\":null,\"prompt_id\":\"p\"}}"`,
			`4 "p" true "\x00\x00\x00\x01\x00\x00"`,
			`5 "p" true ""`,
			`6 "p" true "\x00\x00\x00c\x01\x02"`,
			`7 "" false "{\"type\":\"mine\",\"data\":\"☃\"}"`,
			`8 "p" true "\x00\x00\x00\x04\x00\x00\x00u{\"node_id\":\"1\",\"prompt_id\":\"p\",\"display_node_id\":\"\",\"parent_node_id\":null,\"real_node_id\":\"\",\"image_type\":\"image/png\"}png"`,
			`9 "e" false "{\"type\":\"execution_start\",\"data\":{\"prompt_id\":\"e\",\"timestamp\":0}}"`,
			`10 "e" false "{\"type\":\"executing\",\"data\":{\"node\":null,\"prompt_id\":\"e\"}}"`,
		}, framesOf(t, db.Log()))
		rec, err := db.Store().Get(t.Context(), "old")
		require.NoError(t, err)
		require.Equal(t, 3, rec.Attempt)
		require.NoError(t, db.Close())
	}
	db := open(t, path, opts)
	require.NoError(t, db.Log().Append(nodebus.Event{PromptID: "p", To: "ann", Payload: word("goes on")}), "the third event does not end the prompt")
	require.ErrorIs(t, db.Log().Append(nodebus.Event{PromptID: "e", To: "ann", Payload: word("late")}), nodebus.ErrClosed)
	a, err := db.Queue().TakeOne(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"API_KEY": "s3cret\xff", "": "empty"}, a.Job().Secrets)
	require.JSONEq(t, `{"id":"a","client_id":"ann","priority":0,"nodes":{"1":{"class_type":"C","inputs":{"n":0.5}}},"outputs":null,"extra":{"x":"☃"},"created":"0001-01-01T00:00:00Z"}`,
		jsonOf(a.Job().Prompt))
	b, err := db.Queue().TakeOne(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, 2, b.Job().Attempt, "the process with the first attempt is gone")
	var signals []flow.Signal
	stop, err := db.Signals().Receive("a", func(s flow.Signal) error { signals = append(signals, s); return nil })
	require.NoError(t, err)
	stop()
	require.Equal(t, []flow.Signal{{PromptID: "a", Node: "1", Reason: "why"}}, signals)
}

// unpack writes what a compressed file has.
func unpack(t *testing.T, from, to string) {
	t.Helper()
	f, err := os.Open(from)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	data, err := io.ReadAll(z)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o600))
}
