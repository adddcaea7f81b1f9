package embed_test

import (
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// TestWasAlone gives the directory of a server that was alone to a server of a cluster: it is an
// error, and the streams stay. A directory without streams may join.
func TestWasAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with [odd] *signs?")
	cluster := &embed.Options{Dir: dir, Name: "n", Listen: "127.0.0.1:3", Routes: []string{"127.0.0.1:4", "127.0.0.1:5"}, Logger: quiet}
	for _, want := range []uint64{0, 1, 2} {
		s, err := embed.Start(t.Context(), &embed.Options{Dir: dir, Logger: quiet})
		require.NoError(t, err)
		if want > 0 {
			js, err := jetstream.New(s.Conn())
			require.NoError(t, err)
			_, err = js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
			require.NoError(t, err)
			ack, err := js.Publish(t.Context(), "s", nil)
			require.NoError(t, err)
			require.Equal(t, want, ack.Sequence)
		}
		require.NoError(t, s.Close())
		if want == 0 {
			require.NoError(t, cluster.CheckDir())
			continue
		}
		_, err = embed.Start(t.Context(), cluster)
		require.ErrorIs(t, err, embed.ErrWasAlone)
		require.ErrorContains(t, err, dir)
	}
}
