package nats_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/highwayhash"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// TestStreamOfANewerServer opens a bus on the folder of a nats-server that is newer than this
// one, which then leaves a stream alone: Open says what to do, and when it is done, all is there.
func TestStreamOfANewerServer(t *testing.T) {
	dir := t.TempDir()
	fillDir(t, dir)
	for _, stream := range []string{"NODEBUS_LOG", "NODEBUS_QUEUE", "NODEBUS_STORE", "NODEBUS_SIGNALS"} {
		older := needServer(t, filepath.Join(dir, "jetstream", "$G", "streams", stream))
		s, _, err := openDir(t.Context(), dir)
		require.NotNil(t, s, err)
		if stream == "NODEBUS_LOG" {
			require.ErrorIs(t, nats.Renew(t.Context(), s.Conn(), nil), nats.ErrNewer)
		}
		require.NoError(t, s.Close())
		require.ErrorIs(t, err, nats.ErrNewer)
		var stated *nats.StreamError
		require.ErrorAs(t, err, &stated)
		require.Equal(t, stream, stated.Stream)
		require.ErrorContains(t, err, "a newer nats-server has written it; run this version or a later one")
		require.ErrorContains(t, err, "required API level: 1000")
		older()
	}
	checkWhole(t, dir)
}

// needServer makes a stream need a server that does not exist yet, as a newer server does which
// uses what an older one does not know. It returns a function that undoes this.
func needServer(t *testing.T, stream string) (undo func()) {
	path, sum := filepath.Join(stream, "meta.inf"), filepath.Join(stream, "meta.sum")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var config map[string]any
	require.NoError(t, json.Unmarshal(data, &config))
	config["metadata"].(map[string]any)["_nats.req.level"] = "1000"
	write := func(data []byte) {
		key := sha256.Sum256([]byte(filepath.Base(stream)))
		hash, err := highwayhash.New64(key[:])
		require.NoError(t, err)
		_, err = hash.Write(data)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		require.NoError(t, os.WriteFile(sum, []byte(hex.EncodeToString(hash.Sum(nil))), 0o600))
	}
	changed, err := json.Marshal(config)
	require.NoError(t, err)
	write(changed)
	return func() { write(data) }
}

// checkWhole checks that a folder has all that fillDir has stored.
func checkWhole(t *testing.T, dir string) {
	s, bus, err := openDir(t.Context(), dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	defer func() { require.NoError(t, bus.Close()) }()
	waiting, leased, err := bus.Queue().Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, damagedLen, waiting+leased)
	records := 0
	for _, err := range bus.Store().List(t.Context()) {
		require.NoError(t, err)
		records++
	}
	require.Equal(t, damagedLen, records)
	page := everything(t, bus.Log())
	require.Len(t, page.Events, damagedLen)
	require.Zero(t, page.Lost)
	require.NoError(t, bus.Signals().Drop(t.Context(), "0"))
}
