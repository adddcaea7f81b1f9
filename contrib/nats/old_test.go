package nats_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// The messages of these tests are of the first program with this version of the format. Never
// change them: streams of users have such messages, and other processes of a bus send them
// while it is updated.

// TestOldPrompt takes a prompt with secrets that an older program has pushed.
func TestOldPrompt(t *testing.T) {
	const text = `{"id":"a","client_id":"ann","priority":2,"nodes":{"1":{"class_type":"C","inputs":{"n":0.5}}},"outputs":null,"extra":{"x":"☃"},"created":"0001-01-01T00:00:00Z"}`
	sealed, err := hex.DecodeString("f72e70c28642e00262782a20f417e69b5aff9f915d97623679d9fe8cd036c0e9ded719520ff02ac2eca82bac50a94f2f28d99d")
	require.NoError(t, err)
	opts := nats.Options{Name: newName(), SecretKey: []byte("0123456789abcdef0123456789abcdef")}
	q := open(t, shared, opts).Queue()
	m := natsMsg(opts.Name + "_QUEUE.ia.p")
	m.Header.Set("Nb-Meta", `{"id":"a","client":"ann","priority":2,"size":212,"sealed":51,"name":"JK3RGI3J3JKCYNJK5BIBD3JOHH"}`)
	m.Data = append(sealed, text...)
	store(t, connect(t, shared), m)
	l := takeFrom(t, q, "a", 1)
	require.Equal(t, map[string]string{"API_KEY": "s3cret\xff", "": "empty"}, l.Job().Secrets)
	got, err := json.Marshal(l.Job().Prompt)
	require.NoError(t, err)
	require.JSONEq(t, text, string(got))
}

// TestOldEvents reads the events of an older program, with payloads of every kind.
func TestOldEvents(t *testing.T) {
	opts := nats.Options{Name: newName()}
	l := open(t, shared, opts).Log()
	nc := connect(t, shared)
	for i, data := range []string{
		"\x01\x00\x02\x01p\x03annA" + `{"type":"execution_start","data":{"prompt_id":"p","timestamp":0}}`,
		"\x01\x05\x02\x01p\x03ann9" + `{"type":"executing","data":{"node":null,"prompt_id":"p"}}`,
		"\x01\x06\x02\x01p\x03ann\x06\x00\x00\x00\x01\x00\x00",
		"\x01\x06\x02\x01p\x03ann\x00",
		"\x01\a\x02\x01p\x03ann \x01k" + `{"type":"mine","data":{"n":1}}`,
		"\x01\b\x02\x01p\x03ann\a\x01k\x00\x00\x00ca",
		"\x01\x06\x00\x01p\x03ann\x06\x00\x00\x00c\x01\x02",
		"\x01\x05\x00\x00\x00\x1c" + `{"type":"mine","data":"☃"}`,
		"\x01\x00\x00\x01e\x03annA" + `{"type":"execution_start","data":{"prompt_id":"e","timestamp":0}}` +
			"\x00\x00\x01e\x03ann9" + `{"type":"executing","data":{"node":null,"prompt_id":"e"}}`,
	} {
		m := natsMsg(opts.Name + "_LOG.events")
		m.Header.Set("Nats-Msg-Id", fmt.Sprint("OLD-", i+1))
		m.Data = []byte(data)
		store(t, nc, m)
	}
	late := open(t, shared, opts).Log()
	for _, l := range []nodebus.Log{caughtUp(t, l), late} {
		var frames []string
		for _, ev := range everything(t, l).Events {
			f, err := nodebus.JSON.Encode(ev)
			require.NoError(t, err)
			key := "none"
			if c, ok := ev.Payload.(nodebus.Coalescer); ok {
				key = c.CoalesceKey()
			}
			frames = append(frames, fmt.Sprintf("%q %d %v %s %q", ev.PromptID, ev.Attempt, f.Binary, key, f.Data))
		}
		require.Equal(t, []string{
			`"p" 2 false none "{\"type\":\"execution_start\",\"data\":{\"prompt_id\":\"p\",\"timestamp\":0}}"`,
			`"p" 2 false none "{\"type\":\"executing\",\"data\":{\"node\":null,\"prompt_id\":\"p\"}}"`,
			`"p" 2 true none "\x00\x00\x00\x01\x00\x00"`,
			`"p" 2 true none ""`,
			`"p" 2 false k "{\"type\":\"mine\",\"data\":{\"n\":1}}"`,
			`"p" 2 true k "\x00\x00\x00ca"`,
			`"p" 0 true none "\x00\x00\x00c\x01\x02"`,
			`"" 0 false none "{\"type\":\"mine\",\"data\":\"☃\"}"`,
			`"e" 0 false none "{\"type\":\"execution_start\",\"data\":{\"prompt_id\":\"e\",\"timestamp\":0}}"`,
			`"e" 0 false none "{\"type\":\"executing\",\"data\":{\"node\":null,\"prompt_id\":\"e\"}}"`,
		}, frames)
		require.NoError(t, l.Append(about("p", said(1))), "the second event does not end the prompt")
		require.ErrorIs(t, l.Append(about("e", said(1))), nodebus.ErrClosed)
	}
}

// store publishes a message, and waits until the stream has it.
func store(t *testing.T, nc *natsgo.Conn, m *natsgo.Msg) {
	t.Helper()
	_, err := nc.RequestMsg(m, time.Minute)
	require.NoError(t, err)
}
