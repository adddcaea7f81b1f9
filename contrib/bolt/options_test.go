package bolt_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func keyFile(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// TestSecrets checks that secrets are kept only with a key, that the file does not have them
// in plain text, and that every form of the same key opens them.
func TestSecrets(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	path := newPath(t)
	secrets := map[string]string{"API_KEY": "s3cret-value"}
	db := open(t, path, nil)
	err := db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a"}, secrets)
	require.ErrorIs(t, err, flow.ErrSecrets)
	require.ErrorContains(t, err, "SecretKey")
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a"}, nil))
	require.NoError(t, db.Close())
	db = open(t, path, &bolt.Options{SecretKey: key})
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "b"}, secrets))
	require.NoError(t, db.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.False(t, bytes.Contains(text, []byte("s3cret")) || bytes.Contains(text, []byte("API_KEY")))
	for name, opts := range map[string]*bolt.Options{
		"the key": {SecretKey: key}, "a file": {KeyFile: keyFile(t, key)},
		"digits": {KeyFile: keyFile(t, []byte(hex.EncodeToString(key)+"\n"))},
	} {
		db = open(t, path, opts)
		for want, s := range map[string]map[string]string{"a": nil, "b": secrets} {
			l, err := db.Queue().Take(t.Context(), func(string) bool { return false })
			require.NoError(t, err, name)
			require.Contains(t, []string{"a", "b"}, l.Job().Prompt.ID)
			if l.Job().Prompt.ID == want {
				require.Equal(t, s, l.Job().Secrets, name)
			}
		}
		require.NoError(t, db.Close())
	}
}

// TestWrongKeys checks that no file is made; package stored has the other wrong keys.
func TestWrongKeys(t *testing.T) {
	for name, c := range map[string]struct {
		opts bolt.Options
		says string
	}{
		"empty":      {bolt.Options{SecretKey: []byte{}}, "bolt: Options.SecretKey is empty"},
		"two keys":   {bolt.Options{SecretKey: make([]byte, 32), KeyFile: "key"}, "give one of them"},
		"wrong file": {bolt.Options{KeyFile: keyFile(t, []byte("password"))}, "openssl rand"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			_, err := bolt.Open(path, &c.opts)
			require.ErrorContains(t, err, c.says)
			require.NoFileExists(t, path)
		})
	}
}

// TestDropSecrets checks that a file whose key is lost can be opened, that its prompts run
// without their secrets, and that this is durable.
func TestDropSecrets(t *testing.T) {
	old, key := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)
	path := newPath(t)
	secrets := map[string]string{"API_KEY": "s3cret-value"}
	db := open(t, path, &bolt.Options{SecretKey: old, DropSecrets: true})
	for _, id := range []string{"a", "b"} {
		require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: id, Extra: map[string]any{"x": id}}, secrets))
	}
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "c"}, nil))
	require.NoError(t, db.Queue().Move(t.Context(), "b", -1))
	require.NoError(t, db.Close())
	for _, opts := range []*bolt.Options{nil, {SecretKey: key}} {
		_, err := bolt.Open(path, opts)
		require.ErrorIs(t, err, bolt.ErrKey)
		require.ErrorContains(t, err, "if the key is lost, Options.DropSecrets")
	}
	var told bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&told, nil))
	db = open(t, path, &bolt.Options{SecretKey: old, DropSecrets: true, Logger: logger})
	require.NoError(t, db.Close())
	require.Empty(t, told.String(), "the key opens all secrets")
	db = open(t, path, &bolt.Options{SecretKey: key, DropSecrets: true, Logger: logger})
	require.Equal(t, 2, strings.Count(told.String(), "a prompt has lost its secrets"))
	require.Regexp(t, `(?s)prompt=a\b.*prompt=b\b`, told.String())
	require.NotContains(t, told.String(), "s3cret")
	require.NotContains(t, told.String(), "API_KEY")
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "d"}, secrets))
	require.NoError(t, db.Close())
	db = open(t, path, &bolt.Options{SecretKey: key})
	for _, id := range []string{"b", "a", "c", "d"} {
		l, err := db.Queue().Take(t.Context(), func(string) bool { return false })
		require.NoError(t, err)
		job := l.Job()
		require.Equal(t, id, job.Prompt.ID)
		require.Equal(t, 1, job.Attempt)
		require.Equal(t, id == "d", len(job.Secrets) > 0, id)
		if id < "c" {
			require.Equal(t, map[string]any{"x": id}, job.Prompt.Extra)
		}
	}
}

func TestEmptyPath(t *testing.T) {
	_, err := bolt.Open("", nil)
	require.EqualError(t, err, "bolt: the path is empty; give the path of the file, or of a file that Open makes")
}

// TestLowerLimits checks that what was accepted is kept when the limits become lower, and
// that the log tells.
func TestLowerLimits(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	for i := range 30 {
		p := &nodebus.Prompt{ID: fmt.Sprint("p", i), Extra: map[string]any{"x": strings.Repeat("x", 10_000)}}
		require.NoError(t, db.Queue().Push(t.Context(), p, nil))
		require.NoError(t, db.Signals().Send(t.Context(), flow.Signal{PromptID: "p0", Node: fmt.Sprint(i), Reason: strings.Repeat("x", 1000)}))
	}
	require.NoError(t, db.Close())
	var told bytes.Buffer
	db = open(t, path, &bolt.Options{
		Queue:   &flow.QueueOptions{Len: 3, Bytes: 5000, PerClient: 1},
		Signals: &flow.SignalsOptions{PromptLen: 2, PromptBytes: 100, Bytes: 200},
		Logger:  slog.New(slog.NewTextHandler(io.Writer(&told), nil)),
	})
	waiting, _, err := db.Queue().Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, 30, waiting)
	n := 0
	stop, err := db.Signals().Receive("p0", func(flow.Signal) error { n++; return nil })
	require.NoError(t, err)
	stop()
	require.Equal(t, 30, n)
	require.Contains(t, told.String(), "the queue has more prompts than its limits allow")
	require.Contains(t, told.String(), "there are more signals than the limits allow")
}

// TestStoreLimits checks the limits of the records, also after the file was opened again.
func TestStoreLimits(t *testing.T) {
	opts := &bolt.Options{Store: &flow.StoreOptions{Len: 4, Bytes: 100_000, RecordBytes: 40_000}}
	path := newPath(t)
	db := open(t, path, opts)
	put := func(id string, n int) {
		t.Helper()
		r := flow.Record{Prompt: &nodebus.Prompt{ID: id, Extra: map[string]any{"x": strings.Repeat("x", n)}}, State: nodebus.Succeeded}
		require.NoError(t, db.Store().Put(t.Context(), r))
	}
	ids := func() (ids []string) {
		for r, err := range db.Store().List(t.Context()) {
			require.NoError(t, err)
			ids = append(ids, r.Prompt.ID)
		}
		return ids
	}
	for i := range 6 {
		put(fmt.Sprint(i), 10)
	}
	require.Equal(t, []string{"5", "4", "3", "2"}, ids(), "the oldest are dropped")
	put("3", 35_000)
	put("2", 35_000)
	require.Equal(t, []string{"5", "4", "3", "2"}, ids(), "a record that replaces another keeps its place")
	require.NoError(t, db.Close())
	db = open(t, path, opts)
	put("6", 35_000)
	require.Equal(t, []string{"6", "5", "4", "3"}, ids(), "the sizes are known after the file was opened again")
	require.NoError(t, db.Store().Delete(t.Context(), "6", "5"))
	put("7", 35_000)
	put("8", 10)
	require.Equal(t, []string{"8", "7", "4", "3"}, ids(), "what is deleted makes room")
	put("9", 90_000)
	r, err := db.Store().Get(t.Context(), "9")
	require.NoError(t, err)
	require.True(t, r.Reduced)
	require.Nil(t, r.Prompt.Extra)
	require.Equal(t, nodebus.Succeeded, r.State)
}

// TestValuesWithoutJSON checks the errors for what no file can keep, and that the parts
// then have nothing of it.
func TestValuesWithoutJSON(t *testing.T) {
	db := open(t, newPath(t), nil)
	wrong := &nodebus.Prompt{ID: "p", Extra: map[string]any{"f": func() {}}}
	require.ErrorContains(t, db.Queue().Push(t.Context(), wrong, nil), `prompt "p" has no JSON`)
	require.ErrorContains(t, db.Store().Put(t.Context(), flow.Record{Prompt: wrong}), `prompt "p" has no JSON`)
	long := strings.Repeat("i", 40_000)
	require.ErrorContains(t, db.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: long}}), "40000 bytes")
	require.ErrorContains(t, db.Signals().Send(t.Context(), flow.Signal{PromptID: long}), "40000 bytes")
	require.NoError(t, db.Signals().Drop(t.Context(), long))
	require.NoError(t, db.Store().Delete(t.Context(), long))
	_, err := db.Store().Get(t.Context(), long)
	require.ErrorIs(t, err, flow.ErrNotFound)
	waiting, _, err := db.Queue().Len(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting)
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "p"}, nil))
}

// sized is a value of a caller whose methods must not be called under a lock.
type sized struct {
	q flow.Queue
	N int
}

func (s sized) Size() int {
	if s.q != nil {
		_, _, _ = s.q.Len(context.Background())
		_ = s.q.Move(context.Background(), "nobody", 1)
	}
	return s.N
}

// TestValuesOfCallers checks that a method of a value may call the queue.
func TestValuesOfCallers(t *testing.T) {
	db := open(t, newPath(t), nil)
	q := db.Queue()
	p := &nodebus.Prompt{ID: "p", Nodes: nodebus.Nodes{{ID: "1", Class: "C", Inputs: nodebus.Inputs{"x": sized{q, 5}}}}}
	require.NoError(t, q.Push(t.Context(), p, nil))
	l, err := q.Take(t.Context(), func(string) bool { return false })
	require.NoError(t, err)
	require.Equal(t, jsonOf(p), jsonOf(l.Job().Prompt))
}
