package embed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// TestStreamsMayTakeWhatTheyTake: a server that starts again may use the room that its
// streams take already, however little the disk has left. A file with a hole stands for
// them: it takes no room.
func TestStreamsMayTakeWhatTheyTake(t *testing.T) {
	dir, limit := t.TempDir(), int64(0)
	const size = 1 << 43 // more than the disk has
	f, err := os.Create(filepath.Join(dir, "large"))
	require.NoError(t, err)
	require.NoError(t, f.Truncate(size))
	require.NoError(t, f.Close())
	start(t, embed.Options{Dir: dir, Tune: func(o *server.Options) { limit = o.JetStreamMaxStore }})
	require.Greater(t, limit, int64(size))
}
