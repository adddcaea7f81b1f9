package nodebus_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// countingLog counts what sessions ask a log for.
type countingLog struct {
	nodebus.Log
	mu      sync.Mutex
	reads   int
	longest int // number of prompts in a query
	twice   bool
}

func (l *countingLog) Read(q nodebus.LogQuery) (nodebus.LogPage, error) {
	seen := map[string]bool{}
	l.mu.Lock()
	for _, p := range q.Prompts {
		l.twice = l.twice || seen[p]
		seen[p] = true
	}
	l.reads++
	l.longest = max(l.longest, len(q.Prompts))
	l.mu.Unlock()
	return l.Log.Read(q)
}

// TestLongWatchListsLengthenNoPublish checks that a client that names a prompt very often,
// or very many prompts, costs no more than a client that names each of at most WatchMax
// prompts once: in the lists that the hub keeps, in what it asks the log for, and in a
// publish. It counts; it does not measure time.
func TestLongWatchListsLengthenNoPublish(t *testing.T) {
	const sockets, names = 30, 9990
	name := func(i int) string { return fmt.Sprint("p", i) }
	for title, c := range map[string]struct {
		name    func(i int) string
		watches int
	}{
		"one prompt":        {func(int) string { return name(0) }, 1},
		"different prompts": {name, nodebus.WatchMax},
	} {
		t.Run(title, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				log := &countingLog{Log: nodebus.NewMemoryLog(nil)}
				h := openHub(t, &nodebus.HubOptions{Log: log})
				for i := range names {
					publish(t, h, about(name(i), word("w")))
				}
				one := about(name(0), word("live"))
				before := allocs(t, h, one)
				list := make([]string, names)
				for i := range list {
					list[i] = c.name(i)
				}
				var tapes []*tape
				var sessions []*nodebus.Session
				for i := range sockets {
					p := &tape{}
					s := h.Join(fmt.Sprint("client", i), &nodebus.SessionOptions{Watch: list})
					serveOn(t, s, tryTape{p})
					tapes, sessions = append(tapes, p), append(sessions, s)
				}
				synctest.Wait()
				for _, s := range h.Sessions() {
					require.Equal(t, c.watches, s.Watches)
				}
				require.False(t, log.twice, "a query names a prompt twice")
				require.LessOrEqual(t, log.longest, c.watches)
				reads := log.reads
				publish(t, h, about(name(0), word("once")))
				synctest.Wait()
				require.Equal(t, reads, log.reads, "a publish has read the log")
				for _, p := range tapes {
					require.Equal(t, 1, strings.Count(strings.Join(p.said(t), " "), "once"))
				}
				for _, s := range sessions {
					s.Close(nil)
				}
				synctest.Wait()
				require.Zero(t, h.Stats().Sessions)
				require.LessOrEqual(t, allocs(t, h, one), before, "a publish costs more than before")
			})
		})
	}
}

// allocs returns the number of allocations of a publish.
func allocs(t *testing.T, h *nodebus.Hub, ev nodebus.Event) float64 {
	n := testing.AllocsPerRun(200, func() { publish(t, h, ev) })
	synctest.Wait()
	return n
}

// TestRequestsWithoutReading checks that a client that sends requests and does not read
// the answers fills no memory: its session ends.
func TestRequestsWithoutReading(t *testing.T) {
	for name, request := range map[string]string{
		"watch again":  `{"type":"nodebus.watch","data":{"prompt_id":"1"}}`,
		"forbidden":    `{"type":"nodebus.watch","data":{"prompt_id":"9"}}`,
		"unwatch":      `{"type":"nodebus.unwatch","data":{"prompt_id":"1"}}`,
		"not readable": `{"type":"nodebus.watch"}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				p := newPausedTape()
				s := h.Join("carol", &nodebus.SessionOptions{May: func(id string) bool { return id == "1" }})
				over := serveOn(t, s, p)
				synctest.Wait()
				const many = 10 * nodebus.WatchMax
				for range many {
					require.True(t, s.Receive([]byte(request)))
				}
				synctest.Wait()
				require.True(t, p.isClosed(), "the session takes requests for ever")
				require.ErrorIs(t, over(), nodebus.ErrSlow)
			})
		})
	}
}

// FuzzReceive checks that the hub answers each message to it once, answers no other
// message, and never lets a client watch what it may not.
func FuzzReceive(f *testing.F) {
	for _, s := range []string{
		`{"type":"nodebus.watch","data":{"prompt_id":"1"}}`,
		`{"type":"nodebus.watch","data":{"prompt_id":"2"}}`,
		`{"type":"nodebus.unwatch","data":{"prompt_id":"1"}}`,
		`{"type":"nodebus.watch","data":{"prompt_id":1}}`,
		`{"type":"nodebus.watch","data":{"prompt_id":"` + strings.Repeat("é", 300) + `"}}`,
		`{"type":"nodebus.watch"}`, `{"type":"nodebus.watch","data":null}`, `{"TYPE":"nodebus.unwatch","data":{}}`,
		`{"type":"feature_flags","data":{}}`, `{"type":7}`, `[]`, `"nodebus.watch"`, "\xff", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		bubble.Test(t, func(t *testing.T) {
			h := openHub(t, nil)
			publish(t, h, ofBob(word("past")))
			s, p := watcher(t, h, nodebus.SessionOptions{})
			handled := s.Receive(data)
			synctest.Wait()
			answers, past := 0, 0
			for _, frame := range p.frames {
				ev, err := nodebus.JSON.Decode(frame)
				require.NoError(t, err)
				switch answer := ev.Payload.(type) {
				case nodebus.Watching:
					answers++
					require.LessOrEqual(t, len(answer.PromptID), 3*512, "the answer must not be larger than the request")
					require.False(t, answer.Watching && answer.Error != "")
					require.Equal(t, answer.Watching, h.Sessions()[0].Watches == 1)
					require.True(t, !answer.Watching || answer.PromptID == "1" || answer.PromptID == "2")
				default:
					past++
				}
			}
			if !handled {
				require.Empty(t, p.frames)
				return
			}
			require.Equal(t, 1, answers)
			require.LessOrEqual(t, past, 1)
		})
	})
}
