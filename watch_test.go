package nodebus_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func ofBob(p nodebus.Payload) nodebus.Event {
	return nodebus.Event{PromptID: "1", To: "bob", Payload: p}
}

// watcher joins carol, who may watch the prompts "1" and "2".
func watcher(t *testing.T, h *nodebus.Hub, opts nodebus.SessionOptions) (*nodebus.Session, *tape) {
	opts.May = func(id string) bool { return id == "1" || id == "2" }
	opts.Codec = nodebus.JSONCodec{Envelope: true}
	s, p := h.Join("carol", &opts), &tape{}
	serveOn(t, s, tryTape{p})
	synctest.Wait()
	return s, p
}

func TestWatchSendsThePastAndThenTheRest(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		publish(t, h, ofBob(nodebus.ExecutionStart{}), ofBob(word("a")), nodebus.Event{PromptID: "1", To: "carol", Payload: word("for carol too")})
		s, p := watcher(t, h, nodebus.SessionOptions{})
		say(t, h, "between")
		synctest.Wait()
		require.Equal(t, []string{"for carol too", "between"}, p.said(t))
		require.NoError(t, s.Watch("1"))
		publish(t, h, ofBob(word("b")))
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "a", "nodebus.watching", "b"}, p.said(t)[2:], "carol has her own event already")
		for i, f := range p.frames[2:] {
			require.Equal(t, i == 3, strings.Contains(string(f.Data), "cursor"), "events of the past have no cursor")
		}
		require.Contains(t, string(p.frames[4].Data), `"data":{"prompt_id":"1","watching":true}`)

		require.NoError(t, s.Watch("1"))
		s.Unwatch("1")
		synctest.Wait()
		publish(t, h, ofBob(word("c")))
		s.Unwatch("1")
		synctest.Wait()
		require.Equal(t, []string{"nodebus.watching", "nodebus.watching", "nodebus.watching"}, p.said(t)[6:])
		require.Contains(t, string(p.frames[8].Data), `"data":{"prompt_id":"1","watching":false}`)

		require.NoError(t, s.Watch("1"))
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "a", "b", "c", "nodebus.watching"}, p.said(t)[9:])
		require.ErrorIs(t, s.Watch("3"), nodebus.ErrForbidden)
		require.ErrorIs(t, s.Watch(""), nodebus.ErrForbidden)
		s.Close(nil)
		synctest.Wait()
		require.ErrorIs(t, s.Watch("1"), nodebus.ErrClosed)
	})
}

// TestWatchIsExactUnderPublishing checks that a session that watches and leaves a running
// prompt again and again receives, each time, the past and the live events without a hole
// and without an overlap.
func TestWatchIsExactUnderPublishing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{QueueLen: 50})
		s, p := watcher(t, h, nodebus.SessionOptions{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := range 5000 {
				publish(t, h, ofBob(word(fmt.Sprint(n))))
			}
		}()
		for range 20 {
			require.NoError(t, s.Watch("1"))
			say(t, h, "tick")
			s.Unwatch("1")
		}
		<-done
		synctest.Wait()
		require.NoError(t, s.Watch("1"))
		synctest.Wait()
		next, watches := 0, 0
		for _, w := range p.said(t) {
			switch w {
			case "nodebus.watching":
				watches++
			case "tick":
			case "0":
				next = 1
			default:
				require.Equal(t, fmt.Sprint(next), w)
				next++
			}
		}
		require.Equal(t, 5000, next)
		require.Equal(t, 41, watches)
	})
}

func TestPromptsOfTheOptionsMayBeWatchedAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		s := h.Join("carol", &nodebus.SessionOptions{Watch: []string{"1"}})
		s.Unwatch("1")
		require.Zero(t, h.Sessions()[0].Watches)
		require.ErrorIs(t, s.Watch("2"), nodebus.ErrForbidden)
		require.NoError(t, s.Watch("1"))
		require.Equal(t, 1, h.Sessions()[0].Watches)
		s.Close(nil)
	})
}

func TestAllowWithdrawsAndGives(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		s, p := watcher(t, h, nodebus.SessionOptions{Watch: []string{"1", "2"}, WatchAll: true})
		prompt := func(id string) nodebus.Event {
			return nodebus.Event{PromptID: id, To: "bob", Payload: word("of " + id)}
		}
		all := func() []nodebus.Event { return []nodebus.Event{prompt("1"), prompt("2"), prompt("3")} }
		publish(t, h, all()...)
		synctest.Wait()
		require.Equal(t, []string{"of 1", "of 2", "of 3"}, p.said(t))
		s.Allow(nodebus.Grant{May: func(id string) bool { return id != "1" }})
		publish(t, h, all()...)
		synctest.Wait()
		require.Equal(t, []string{"of 2"}, p.said(t)[3:])
		require.ErrorIs(t, s.Watch("1"), nodebus.ErrForbidden)
		s.Allow(nodebus.Grant{Watch: []string{"3"}})
		synctest.Wait()
		publish(t, h, all()...)
		synctest.Wait()
		require.Equal(t, []string{"of 3", "of 3", "nodebus.watching", "of 3"}, p.said(t)[4:])
		s.Allow(nodebus.Grant{})
		publish(t, h, all()...)
		synctest.Wait()
		require.Len(t, p.frames, 8)
	})
}

func TestReceiveWatchMessages(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		publish(t, h, ofBob(word("a")))
		s, p := watcher(t, h, nodebus.SessionOptions{})
		for _, c := range []struct {
			message string
			handled bool
			want    []string // parts of the answer; none: no answer
		}{
			{`{"type":"feature_flags","data":{}}`, false, nil},
			{`not JSON`, false, nil},
			{`{"type":"nodebus.watch","data":{"prompt_id":"1"}}`, true, []string{`"a"`, `"watching":true`}},
			{`{"type":"nodebus.unwatch","data":{"prompt_id":"1"}}`, true, []string{`"watching":false`}},
			{`{"type":"nodebus.watch","data":{"prompt_id":"3"}}`, true, []string{`"watching":false,"error":"nodebus: the client may not watch this prompt: \"3\""`}},
			{`{"type":"nodebus.watch","data":{"prompt_id":7}}`, true, []string{`needs data with a prompt_id`}},
			{`{"type":"nodebus.watch"}`, true, []string{`needs data with a prompt_id`}},
			{`{"type":"nodebus.unwatch","data":null}`, true, []string{`nodebus.unwatch needs data with a prompt_id`}},
			{`{"type":"nodebus.watch","data":{"prompt_id":"` + strings.Repeat("x", 600) + `"}}`, true, []string{`1 to 512 bytes`}},
		} {
			before := len(p.frames)
			require.Equal(t, c.handled, s.Receive([]byte(c.message)), c.message)
			synctest.Wait()
			require.Len(t, p.frames, before+len(c.want), c.message)
			for i, part := range c.want {
				require.Contains(t, string(p.frames[before+i].Data), part)
			}
		}
	})
}

// TestWatchListsAreBounded checks that what a client names in a request neither grows the
// hub nor lengthens a publish.
func TestWatchListsAreBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		var same, different []string
		for n := range 9990 {
			same, different = append(same, "1"), append(different, fmt.Sprint(n))
		}
		a, b := h.Join("a", &nodebus.SessionOptions{Watch: same}), h.Join("b", &nodebus.SessionOptions{Watch: different})
		got := map[string]int{}
		for _, s := range h.Sessions() {
			got[s.Client] = s.Watches
		}
		require.Equal(t, map[string]int{"a": 1, "b": nodebus.WatchMax}, got)
		pa := &tape{}
		serveOn(t, a, pa)
		publish(t, h, ofBob(word("a")))
		synctest.Wait()
		require.Equal(t, []string{"a"}, pa.said(t))
		b.Close(nil)
	})
}

// TestAllowCountsAgainstAWatchInProgress checks that a request that was allowed by an old
// grant, and completes after the grant was withdrawn, is refused.
func TestAllowCountsAgainstAWatchInProgress(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		asked, answer := make(chan struct{}), make(chan struct{})
		s := h.Join("carol", &nodebus.SessionOptions{May: func(string) bool {
			close(asked)
			<-answer
			return true
		}})
		result := make(chan error)
		go func() { result <- s.Watch("1") }()
		<-asked
		s.Allow(nodebus.Grant{})
		close(answer)
		require.ErrorIs(t, <-result, nodebus.ErrForbidden)
		require.Zero(t, h.Sessions()[0].Watches)
		s.Close(nil)
	})
}
