package nodebus_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// farLog is a log whose events have the times of a machine with another clock.
type farLog struct {
	*nodebus.LogCache
	ahead time.Duration
	mu    sync.Mutex
	id    uint64
}

func (l *farLog) Append(ev nodebus.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id++
	ev.ID, ev.Time = l.id, time.Now().Add(l.ahead)
	l.SetTime(ev.Time)
	return l.Add(ev)
}

// TestLateClientOfAnotherClock: a client that connects just after the end of its prompt gets
// the end, and later it does not, whatever the clock of the log says.
func TestLateClientOfAnotherClock(t *testing.T) {
	for _, ahead := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		bubble.Test(t, func(t *testing.T) {
			l := &farLog{LogCache: nodebus.NewLogCache(nodebus.Cursor{Epoch: "far"}, nil), ahead: ahead}
			h := openHub(t, &nodebus.HubOptions{Log: l})
			publish(t, h, start("p"), about("p", nodebus.ExecutionSuccess{PromptID: "p"}), ending("p"))
			time.Sleep(time.Second)
			require.Contains(t, typesAtReturn(t, h), "execution_success")
			publish(t, h, start("q"), about("q", nodebus.ExecutionSuccess{PromptID: "q"}), ending("q"))
			time.Sleep(time.Minute)
			require.NotContains(t, typesAtReturn(t, h), "execution_success")
		})
	}
}
