//go:build unix

package bolt_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
)

// TestLogDiskFull runs TestLogFullChild in a process whose files must not grow.
func TestLogDiskFull(t *testing.T) {
	for _, scenario := range []string{"goes on", "closes"} {
		t.Run(scenario, func(t *testing.T) {
			path := newPath(t)
			cmd := exec.Command(os.Args[0], "-test.run=^TestLogFullChild$", "-test.timeout=2m", "-test.v")
			cmd.Env = append(os.Environ(), "BOLT_FULL_CHILD="+path, "BOLT_FULL_SCENARIO="+scenario)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "the child has checked everything")
			checkFull(t, open(t, path, nil), scenario)
		})
	}
}

// fullEvents is the number of events that the child publishes.
const fullEvents = 60

// checkFull checks what the child has left in the file: all events if the disk had room at the
// end, and otherwise the first events.
func checkFull(t *testing.T, db *bolt.DB, scenario string) {
	page, err := db.Log().Read(nodebus.LogQuery{All: true, UpTo: 1 << 62})
	require.NoError(t, err)
	require.Zero(t, page.Lost)
	for i, ev := range page.Events {
		require.Equal(t, uint64(i+1), ev.ID)
		require.Equal(t, fmt.Sprint("full ", i), ev.Payload.EventType())
	}
	if scenario == "goes on" {
		require.Len(t, page.Events, fullEvents)
	} else {
		require.Less(t, len(page.Events), fullEvents)
		require.NotEmpty(t, page.Events)
	}
}

// problems collects the problems that the log reports.
type problems struct {
	mu   sync.Mutex
	text strings.Builder
	told chan struct{} // closed at the first problem
}

func (p *problems) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text.Len() == 0 {
		close(p.told)
	}
	return p.text.Write(b)
}

func (p *problems) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// limitFiles limits the size of each file of this process.
func limitFiles(t *testing.T, size uint64) {
	var l syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l))
	l.Cur = min(size, l.Max)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l))
}

// receive returns the next ID that a follower has received.
func receive(t *testing.T, heard <-chan uint64) uint64 {
	select {
	case id := <-heard:
		return id
	case <-time.After(time.Minute):
		require.FailNow(t, "the follower has received nothing for a minute")
		return 0
	}
}

// TestLogFullChild is the process of TestLogDiskFull.
func TestLogFullChild(t *testing.T) {
	path := os.Getenv("BOLT_FULL_CHILD")
	if path == "" {
		return // it is no child
	}
	signal.Ignore(syscall.SIGXFSZ) // a write beyond the limit is an error then
	logged := &problems{told: make(chan struct{})}
	db, err := bolt.Open(path, &bolt.Options{Logger: slog.New(slog.NewTextHandler(logged, nil))})
	require.NoError(t, err)
	l := db.Log()
	heard := make(chan uint64, fullEvents)
	_, stop, err := l.Follow(func(ev nodebus.Event) { heard <- ev.ID })
	require.NoError(t, err)
	defer stop()
	pad := strings.Repeat("x", 10_000)
	n := 0
	add := func() {
		require.NoError(t, l.Append(about("1", nodebus.Custom{Type: fmt.Sprint("full ", n), Data: pad})))
		n++
	}
	for range 10 {
		add()
		require.Equal(t, uint64(n), receive(t, heard))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	limitFiles(t, uint64(info.Size()))
	for n < fullEvents {
		add() // Append does not fail
	}
	<-logged.told
	require.Contains(t, logged.String(), "events cannot be written")
	require.Contains(t, logged.String(), filepath.Base(path))
	page, err := l.Read(nodebus.LogQuery{All: true, UpTo: 1 << 62})
	require.NoError(t, err)
	require.Less(t, len(page.Events), fullEvents, "nobody receives what is not in the file")
	if os.Getenv("BOLT_FULL_SCENARIO") == "closes" {
		require.ErrorIs(t, db.Close(), bolt.ErrWrite)
	} else {
		limitFiles(t, 1<<62)
		for id := uint64(11); id <= fullEvents; id++ {
			require.Equal(t, id, receive(t, heard))
		}
		require.NoError(t, db.Close())
		require.Contains(t, logged.String(), "takes events again")
	}
	require.Equal(t, 1, strings.Count(logged.String(), "events cannot be written"), logged.String())
	fmt.Println("the child has checked everything")
}
