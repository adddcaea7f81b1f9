package sse_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// TestSilentStreamHasComments also shows that the stream outlives the WriteTimeout and
// the ReadTimeout of the server, one second.
func TestSilentStreamHasComments(t *testing.T) {
	onPipes(t, &sse.Options{PingInterval: 20 * time.Second}, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		require.Equal(t, "status", r.must(t).Type)
		began := time.Now()
		go func() {
			time.Sleep(50 * time.Second) // comments after 20 s and 40 s
			_ = n.hub.Broadcast(note{1})
			time.Sleep(19 * time.Second) // no comment
			_ = n.hub.Broadcast(note{2})
			time.Sleep(time.Hour + time.Second) // a comment every 20 s
			_ = n.hub.Broadcast(note{3})
		}()
		for _, comments := range []int{2, 0, 180} {
			r.comments = nil
			require.Equal(t, "test.note", r.must(t).Type)
			require.Equal(t, make([]string, comments), append([]string{}, r.comments...))
		}
		require.Equal(t, time.Hour+70*time.Second, time.Since(began))
		r.close()
		<-n.left
	})
}

func TestCommentsCanBeDisabled(t *testing.T) {
	onPipes(t, &sse.Options{PingInterval: -1}, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		require.Equal(t, "status", r.must(t).Type)
		time.Sleep(time.Hour)
		go func() { _ = n.hub.Broadcast(note{1}) }()
		require.Equal(t, "test.note", r.must(t).Type)
		require.Empty(t, r.comments)
		r.close()
		<-n.left
	})
}

// TestLostClientIsNoticed opens streams whose clients go.
func TestLostClientIsNoticed(t *testing.T) {
	onPipes(t, nil, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		r.must(t)
		r.close()
		require.Zero(t, <-n.left)
		synctest.Wait()
		require.Zero(t, n.hub.Stats().Sessions)
	})
}

// large is more than the buffers of HTTP hold, 4 MiB for a stream of HTTP/2.
var large = nodebus.Custom{Type: "large", Data: strings.Repeat("x", 5<<20)}

func TestClientThatTakesNothingIsSlow(t *testing.T) {
	onPipes(t, &sse.Options{WriteTimeout: 8 * time.Second}, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		r.must(t)
		require.NoError(t, n.hub.Broadcast(large))
		took := <-n.left
		require.GreaterOrEqual(t, took, 8*time.Second)
		require.LessOrEqual(t, took, 10*time.Second) // with net/http a quarter longer
		synctest.Wait()
		require.Equal(t, uint64(1), n.hub.Stats().Slow)
		_, err := r.next()
		require.Error(t, err)
	})
}

func TestSlowClientIsNotCutOff(t *testing.T) {
	onPipes(t, &sse.Options{WriteTimeout: 7 * time.Second}, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		r.must(t)
		require.NoError(t, n.hub.Broadcast(large))
		require.NoError(t, n.hub.Broadcast(note{1}))
		slow := &reader{r: bufio.NewReaderSize(&crawling{r.r}, 16<<10)}
		began := time.Now()
		ev := slow.must(t)
		require.Equal(t, "large", ev.Type)
		require.Len(t, string(ev.Data), 5<<20+2)
		require.Greater(t, time.Since(began), 20*time.Minute)
		require.Equal(t, "test.note", slow.must(t).Type)
		r.close()
		<-n.left
	})
}

// crawling reads 16 KiB in five seconds.
type crawling struct{ r io.Reader }

func (c *crawling) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	time.Sleep(time.Duration(n) * 5 * time.Second / (16 << 10))
	return n, err
}

func TestClosedHubTellsTheReason(t *testing.T) {
	onPipes(t, nil, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		r.must(t)
		go func() {
			_ = n.hub.Broadcast(note{1}) // is still sent
			_ = n.hub.Close()
		}()
		require.Equal(t, []string{`{"N":1}`}, r.types(t, 1))
		r.end(t)
		require.Equal(t, []string{"the server is going away"}, r.comments)
		require.Zero(t, <-n.left)
	})
}

// TestCloseHasAnEnd closes hubs whose client does not read.
func TestCloseHasAnEnd(t *testing.T) {
	onPipes(t, &sse.Options{WriteTimeout: 7 * time.Second}, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		r.must(t)
		require.NoError(t, n.hub.Broadcast(large))
		require.NoError(t, n.hub.Close())
		require.LessOrEqual(t, <-n.left, 9*time.Second)
	})
}

// TestEndedSessionStopsWriting ends sessions in the middle of a write.
func TestEndedSessionStopsWriting(t *testing.T) {
	onPipes(t, nil, func(t *testing.T, n *pipes) {
		r := n.open(t, "")
		r.must(t)
		require.NoError(t, n.hub.Broadcast(large))
		synctest.Wait()
		for _, s := range n.hub.Sessions() {
			require.True(t, n.hub.End(s.Name, nodebus.ErrForbidden))
		}
		require.Zero(t, <-n.left)
		_, err := r.next()
		require.Error(t, err)
	})
}
