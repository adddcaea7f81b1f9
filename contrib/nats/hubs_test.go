package nats_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// sites are three processes with a page: the first runs nothing, the others run prompts.
func sites(t *testing.T, gates *sync.Map, runs ...bool) (all []*site) {
	opts := nats.Options{Name: newName()}
	for _, r := range runs {
		all = append(all, newSite(t, open(t, shared, opts), gates, r))
	}
	return all
}

// TestPagesShowWhatOnePageShows: a client of ComfyUI at a process that runs nothing receives
// what a client of a single process receives, and so do another tab at a third process, and
// whoever watches the prompt there.
func TestPagesShowWhatOnePageShows(t *testing.T) {
	gates := &sync.Map{}
	alone := newSite(t, nil, gates, true)
	all := sites(t, gates, false, true, false)
	// What may come in one frame or in several, and the numbers of prompts, which every engine tells.
	plain := func(frames []string) []string { return without(frames, "binary", `"progress`, `"status"`) }
	texts := func(frames []string) (n int) {
		for _, f := range frames {
			if strings.HasPrefix(f, "binary 00000003") {
				size := 0
				_, err := fmt.Sscanf(f[len("binary 0000000300000001, "):], "%d", &size)
				require.NoError(t, err)
				n = size - 9 // each frame has the whole text
			}
		}
		return n
	}
	k := alone.dial("ann", "")
	alone.submit("ann", "p1", "a b c d", false)
	frames := k.until(endOfPrompt("p1"))
	want := plain(frames)
	require.Len(t, want, 10)
	require.Equal(t, 4, texts(frames))

	ann, tab, bob := all[0].dial("ann", ""), all[2].dial("ann", ""), all[2].dial("bob", "&watch=p1")
	other := all[1].dial("eve", "")
	all[0].submit("ann", "p1", "a b c d", false)
	for name, k := range map[string]*socket{"the client": ann, "another tab": tab, "who watches": bob} {
		frames := k.until(endOfPrompt("p1"))
		require.Equal(t, want, plain(frames), name)
		require.Equal(t, 4, texts(frames), name)
		last := without(frames, "binary", `"status"`)
		require.Contains(t, strings.Join(last, "\n"), `"progress","data":{"value":4,"max":4`, name)
	}
	other.until(`"queue_remaining":1`)
	require.Empty(t, without(other.until(`"queue_remaining":0`), `"status"`), "a stranger hears only the number of prompts")

	require.Equal(t, alone.send("GET", "/history/p1", "").(map[string]any)["p1"].(map[string]any)["outputs"],
		all[2].send("GET", "/history/p1", "").(map[string]any)["p1"].(map[string]any)["outputs"])
	for _, s := range all {
		require.Len(t, s.send("GET", "/history", ""), 1)
		require.NoError(t, s.hub.SendSync(spoken{"to ann"}, "ann"))
		require.Equal(t, []string{`{"type":"test.spoken","data":{"word":"to ann"}}`}, without(ann.until("to ann"), `"status"`))
		require.Equal(t, []string{`{"type":"test.spoken","data":{"word":"to ann"}}`}, without(tab.until("to ann"), `"status"`))
		require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "all", Data: 1}))
		for _, k := range []*socket{ann, tab, bob, other} {
			require.Equal(t, []string{`{"type":"all","data":1}`}, without(k.until(`"all"`), `"status"`))
		}
	}
}

// queued returns the ids of the prompts that run and that wait, as a page shows them.
func queued(s *site) (running, waiting []string) {
	q := s.send("GET", "/queue", "").(map[string]any)
	ids := func(list any) (all []string) {
		for _, item := range list.([]any) {
			all = append(all, item.([]any)[1].(string))
		}
		return all
	}
	return ids(q["queue_running"]), ids(q["queue_pending"])
}

// awaitQueue waits until all pages show these prompts as running, and a number of others as
// waiting: a page knows a moment later what others have accepted, or have begun.
func awaitQueue(all []*site, running []string, waiting int) {
	for _, s := range all {
		s.t.Helper()
		for began := time.Now(); ; {
			runs, waits := queued(s)
			if slices.Equal(runs, running) && len(waits) == waiting {
				break
			}
			require.Less(s.t, time.Since(began), patience, "%q run, %q wait", runs, waits)
		}
	}
}

// TestPagesChangeWhatOthersRun: every page shows the queue of all, and changes it.
func TestPagesChangeWhatOthersRun(t *testing.T) {
	gates := &sync.Map{}
	all := sites(t, gates, false, true, false)
	ann := all[0].dial("ann", "")
	all[0].submit("ann", "runs", "a", true)
	ann.until(`{"type":"executing","data":{"node":"1"`)
	all[0].submit("ann", "next", "b", true)
	awaitQueue(all, []string{"runs"}, 1)
	all[2].submit("ann", "deleted", "c", true)
	awaitQueue(all, []string{"runs"}, 2)
	for _, s := range all {
		running, waiting := queued(s)
		require.Equal(t, []string{"runs"}, running)
		require.Equal(t, []string{"next", "deleted"}, waiting)
		require.EqualValues(t, 3, s.send("GET", "/prompt", "").(map[string]any)["exec_info"].(map[string]any)["queue_remaining"])
	}
	all[0].send("POST", "/queue", `{"delete":["deleted"]}`)
	all[2].send("POST", "/interrupt", "")
	frames := ann.until(endOfPrompt("runs"))
	require.Contains(t, strings.Join(frames, "\n"), `"execution_interrupted","data":{"prompt_id":"runs"`)
	ann.until(`{"type":"executing","data":{"node":"1","display_node":"1","prompt_id":"next"}}`)
	all[0].send("POST", "/interrupt", `{"prompt_id":"next"}`)
	frames = ann.until(endOfPrompt("next"))
	require.Contains(t, strings.Join(frames, "\n"), `"execution_interrupted","data":{"prompt_id":"next"`)
	require.Contains(t, strings.Join(frames, "\n"), `"queue_remaining":0`)
	all[2].send("POST", "/history", `{"delete":["runs"]}`)
	awaitQueue(all, nil, 0)
	for _, s := range all {
		require.Len(t, s.send("GET", "/history", ""), 1)
	}
}

// TestPagesKeepTheOrder: whoever submits first is first, at whatever page. Each page counts
// the prompts that it has accepted, and the counts differ.
func TestPagesKeepTheOrder(t *testing.T) {
	all := sites(t, &sync.Map{}, false, false, false)
	var want []string
	submit := func(at int, id, more string) {
		t.Helper()
		awaitQueue(all, nil, len(want))
		all[at].send("POST", "/prompt", fmt.Sprintf(
			`{"client_id":"client %d","prompt_id":%q,%s"prompt":{"1":{"class_type":"Speak","inputs":{"words":"a","hold":false}}}}`, at, id, more))
		want = append(want, id)
	}
	for n, at := range []int{0, 0, 0, 0, 1, 2, 0, 1, 1, 2, 0} {
		submit(at, fmt.Sprint("p", n), "")
	}
	submit(1, "far", `"number":1e300,`)
	submit(2, "q2", "") // the prompt before is no reason to come after it
	submit(0, "q0", "")
	submit(2, "front", `"front":true,`)
	want = []string{"front", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "q2", "q0", "far"}
	awaitQueue(all, nil, len(want))
	for _, s := range all {
		_, waiting := queued(s)
		require.Equal(t, want, waiting)
	}
}

// TestPagesContinue: a client of ComfyUI reloads its page in the middle of a run, and comes
// to another process each time.
func TestPagesContinue(t *testing.T) {
	t.Parallel()
	gates := &sync.Map{}
	all := sites(t, gates, true, true, true)
	ann := all[0].dial("ann", "")
	all[0].submit("ann", "p1", "a b", true)
	ann.until(`{"type":"executing","data":{"node":"1"`)
	ann.leave()
	for _, s := range all[1:] {
		ann = s.dial("ann", "")
		frames := ann.until("binary 00000001") // the preview comes some time after the connection
		text := strings.Join(frames, "\n")
		require.Contains(t, text, `"execution_start","data":{"prompt_id":"p1"`)
		require.Contains(t, text, `{"type":"executing","data":{"node":"1","display_node":"1","prompt_id":"p1"}}`)
		require.Contains(t, text, `"progress","data":{"value":2,"max":2`)
		if s == all[1] {
			ann.leave()
		}
	}
	close(gateOf(gates, "p1"))
	ann.until(endOfPrompt("p1"))
	ann.leave()
	ann = all[0].dial("ann", "")
	all[0].submit("ann", "p2", "a", false)
	// The first process does not know what the client has confirmed at the others: it sends the
	// finished prompt again, whole, and before the next.
	frames := without(ann.until(endOfPrompt("p2")), `"status"`, "binary")
	at := slices.Index(frames, endOfPrompt("p1"))
	text := strings.Join(frames[:at], "\n")
	require.Equal(t, 1, strings.Count(text, `"execution_start","data":{"prompt_id":"p1"`))
	require.Contains(t, frames[at-1], `"execution_success","data":{"prompt_id":"p1"`)
	require.Contains(t, frames[at+1], `"execution_start","data":{"prompt_id":"p2"`)
	require.NotContains(t, strings.Join(frames[at+1:], "\n"), "p1")

	eve := all[0].dial("eve", "")
	all[0].submit("eve", "p3", "a", true)
	eve.until(`{"type":"executing","data":{"node":"1"`)
	eve.leave()
	close(gateOf(gates, "p3"))
	ended := all[0].dial("fay", "&watch=p3")
	ended.until(endOfPrompt("p3"))
	eve = all[2].dial("eve", "")
	require.Contains(t, strings.Join(eve.until(endOfPrompt("p3")), "\n"), `"execution_start","data":{"prompt_id":"p3"`, "it ended while the client was away")
}
