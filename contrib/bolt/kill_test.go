package bolt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// promptOf returns the prompt with this id; others can tell whether it is whole.
func promptOf(id string) *nodebus.Prompt {
	return &nodebus.Prompt{ID: id, ClientID: "c" + id, Extra: map[string]any{"x": strings.Repeat(id, 1+len(id)*37%200)}}
}

func recordOf(id string, version int) flow.Record {
	return flow.Record{Prompt: promptOf(id), State: nodebus.Succeeded, Attempt: version}
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	must(err)
	return string(text)
}

const killWorkers = 4

// writeUntilKilled makes random calls. It says "ID does" before a call that removes
// something, and "ID did" after each call.
func writeUntilKilled(path string, say func(...any)) {
	db, err := bolt.Open(path, nil)
	must(err)
	for w := range killWorkers {
		go func() {
			for n := 0; ; n++ {
				writeSome(db, w, n, say)
			}
		}()
	}
	select {}
}

func writeSome(db *bolt.DB, w, n int, say func(...any)) {
	ctx, q := context.Background(), db.Queue()
	id := fmt.Sprint("p", w, "-", rand.Uint64())
	must(q.Push(ctx, promptOf(id), nil))
	say("pushed", id)
	l, err := q.Take(ctx, func(string) bool { return false })
	must(err)
	taken := l.Job().Prompt.ID
	say("took", taken, l.Job().Attempt)
	switch rand.IntN(24) {
	case 0: // nobody ends it before the process dies
	case 1:
		say("releases", taken)
		must(l.Release(ctx))
		say("released", taken, l.Job().Attempt)
	case 2:
		must(l.Extend(ctx, 0)) // the next attempt begins
	default:
		say("ends", taken)
		must(l.Done(ctx))
		say("ended", taken)
	}
	record := fmt.Sprint("r", w, "-", n%5)
	old, err := db.Store().Get(ctx, record)
	if err != nil {
		old.Attempt = 0
	}
	must(db.Store().Put(ctx, recordOf(record, old.Attempt+1)))
	say("put", record, old.Attempt+1)
	if n%7 != 0 {
		return
	}
	box := fmt.Sprint("s", w)
	count := 0
	stop, err := db.Signals().Receive(box, func(flow.Signal) error { count++; return nil })
	must(err)
	stop()
	must(db.Signals().Send(ctx, flow.Signal{PromptID: box, Node: strconv.Itoa(count), Answer: json.RawMessage(`1`)}))
	say("sent", box, count)
}

// known is what processes have said before they were killed.
type known struct {
	waits   map[string]int  // the least attempt that must come next, of prompts that must be there
	may     map[string]bool // prompts that may have left
	ended   map[string]bool // prompts that must not be there
	records map[string]int  // the least version
	signals map[string]int  // the least number of signals
}

func (k *known) hear(words []string) {
	id, n := words[1], 0
	if len(words) > 2 {
		n, _ = strconv.Atoi(words[2])
	}
	switch words[0] {
	case "pushed":
		k.waits[id] = max(k.waits[id], 1)
	case "took":
		k.waits[id] = max(k.waits[id], n+1)
	case "releases":
		k.waits[id]--
	case "released":
	case "ends":
		k.may[id] = true
	case "ended":
		k.ended[id] = true
	case "put":
		k.records[id] = max(k.records[id], n)
	case "sent":
		k.signals[id] = max(k.signals[id], n+1)
	}
}

// check compares a file with what is known, and takes over what more the file has.
func (k *known) check(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	there := map[string]int{}
	for x, err := range db.Queue().List(t.Context()) {
		require.NoError(t, err)
		id := x.Prompt.ID
		there[id] = x.Attempt
		require.Equal(t, jsonOf(promptOf(id)), jsonOf(x.Prompt), "a prompt is not whole")
		require.False(t, k.ended[id], "%s has ended", id)
		require.False(t, x.Leased)
		require.GreaterOrEqual(t, x.Attempt, k.waits[id], "the attempt of %s goes back", id)
	}
	for id := range k.waits {
		if !k.may[id] {
			require.Contains(t, there, id, "a prompt is lost")
		}
	}
	k.waits, k.may = there, map[string]bool{}
	for r, err := range db.Store().List(t.Context()) {
		require.NoError(t, err)
		id := r.Prompt.ID
		require.GreaterOrEqual(t, r.Attempt, k.records[id], "a record is older than the newest")
		require.Equal(t, jsonOf(recordOf(id, r.Attempt)), jsonOf(r), "a record is not whole")
		k.records[id] = -r.Attempt
	}
	for id, version := range k.records {
		require.LessOrEqual(t, version, 0, "record %s is lost", id)
		k.records[id] = -version
	}
	for w := range killWorkers {
		box := fmt.Sprint("s", w)
		var got []string
		stop, err := db.Signals().Receive(box, func(s flow.Signal) error { got = append(got, s.Node); return nil })
		require.NoError(t, err)
		stop()
		for i, node := range got {
			require.Equal(t, strconv.Itoa(i), node, "the signals are not in order")
		}
		require.GreaterOrEqual(t, len(got), k.signals[box], "a signal is lost")
		k.signals[box] = len(got)
	}
}

// TestKilled kills a process that writes, at a random moment, and starts the next. What a
// call has returned for is there. What it has not is there whole, or not at all.
func TestKilled(t *testing.T) {
	kills := 12
	if *long {
		kills = 150
	}
	path := newPath(t)
	k := &known{map[string]int{}, map[string]bool{}, map[string]bool{}, map[string]int{}, map[string]int{}}
	said := 0
	for range kills {
		p := start(t, "write", path)
		for range 1 + rand.IntN(400) {
			words := p.line(t)
			require.NotNil(t, words, "the process has ended by itself")
			k.hear(words)
			said++
		}
		require.NoError(t, p.cmd.Process.Kill())
		for words := p.line(t); words != nil; words = p.line(t) { // said before it was killed
			if p.cut(words) {
				break
			}
			k.hear(words)
		}
		p.kill()
		k.check(t, path)
	}
	t.Logf("%d kills, %d calls were told, %d prompts wait, %d records", kills, said, len(k.waits), len(k.records))
	require.NotEmpty(t, k.records)
	require.NotEmpty(t, k.ended)
}

// cut reports whether a line may be cut, because its process was killed.
func (p *process) cut(words []string) bool {
	return len(words) < 2 || !strings.Contains("pushed took releases released ends ended put sent", words[0])
}
