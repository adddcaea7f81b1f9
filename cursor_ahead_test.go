package nodebus_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// askedLog counts how often a hub asks for the newest place.
type askedLog struct {
	*lateLog
	asked atomic.Int64
	fails atomic.Int64 // so many further questions fail
}

func (l *askedLog) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	l.asked.Add(1)
	if l.fails.Add(-1) >= 0 {
		return nodebus.Cursor{}, nil, errors.New("away")
	}
	return l.lateLog.Follow(deliver)
}

// TestInventedCursorsAskTheLogSeldom connects clients again and again with cursors that nobody
// has given: the hub asks its log now and then, because an answer may cost the log a message.
// Each of the clients has a gap. A client with a cursor that another hub has given does not
// have one.
func TestInventedCursorsAskTheLogSeldom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log := nodebus.NewMemoryLog(nil)
		l := &askedLog{lateLog: &lateLog{Log: log}}
		h, other := openHub(t, &nodebus.HubOptions{Log: l}), openHub(t, &nodebus.HubOptions{Log: log})
		l.hold()
		before, began := l.asked.Load(), time.Now()
		invented := nodebus.Cursor{Epoch: h.Epoch(), ID: 1 << 60}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range 100 {
					h.Join("eve", &nodebus.SessionOptions{Since: invented}).Close(nil)
				}
			})
		}
		all.Wait()
		require.LessOrEqual(t, l.asked.Load()-before, int64(64+2*(time.Since(began)/time.Second)+2))

		publish(t, other, about("1", word("received")))
		received := at(h, newestID(t, other))
		publish(t, other, about("1", word("missed")))
		ann, eve := &tape{}, &tape{}
		serveOn(t, h.Join("alice", &nodebus.SessionOptions{Since: received}), ann)
		serveOn(t, h.Join("eve", &nodebus.SessionOptions{Since: invented}), eve)
		synctest.Wait()
		require.Regexp(t, "^gap 0-", eve.said(t)[0])
		l.release()
		synctest.Wait()
		require.Equal(t, []string{"missed"}, ann.said(t))
	})
}

// TestCursorWhileTheLogIsAway connects a client with a cursor that another hub has given while
// the log fails: it has missed nothing, and hears of no gap.
func TestCursorWhileTheLogIsAway(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log := nodebus.NewMemoryLog(nil)
		l := &askedLog{lateLog: &lateLog{Log: log}}
		h, other := openHub(t, &nodebus.HubOptions{Log: l}), openHub(t, &nodebus.HubOptions{Log: log})
		l.hold()
		publish(t, other, about("1", word("received")))
		received := at(h, newestID(t, other))
		publish(t, other, about("1", word("missed")))
		ann := &tape{}
		l.fails.Store(2)
		serveOn(t, h.Join("alice", &nodebus.SessionOptions{Since: received}), ann)
		l.release()
		synctest.Wait()
		require.Equal(t, []string{"missed"}, ann.said(t))
	})
}
