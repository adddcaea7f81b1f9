package conform_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/internal/bytelog"
)

func TestLog(t *testing.T) {
	for name, fresh := range map[string]func() nodebus.Log{
		"in memory": func() nodebus.Log { return nodebus.NewMemoryLog(nil) },
		"in memory, with IDs from elsewhere": func() nodebus.Log {
			return &cachedLog{LogCache: nodebus.NewLogCache(nodebus.Cursor{Epoch: "cached"}, nil)}
		},
		"of bytes, asynchronously": func() nodebus.Log { return bytelog.New() },
	} {
		t.Run(name, func(t *testing.T) { conform.Log(t, func(*testing.T) nodebus.Log { return fresh() }) })
	}
}

// cachedLog gives the events of a cache their IDs, with gaps between them.
type cachedLog struct {
	*nodebus.LogCache
	mu   sync.Mutex
	last uint64
}

// Append implements [nodebus.Log].
func (l *cachedLog) Append(ev nodebus.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last += 3
	ev.ID, ev.Time = l.last, time.Now()
	return l.Add(ev)
}
