package conform_test

import (
	"bufio"
	"context"
	"flag"
	"iter"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "run the faulty implementations too")

// found is a test of an implementation with one fault, and what the suite must report.
type found struct {
	want string
	test func(*testing.T)
}

// mutants are implementations with one fault each.
var mutants = map[string]found{
	"queue: skip under a lock": {"did not end in time", queueMutant(func(q flow.Queue) flow.Queue { return &lockedQueue{Queue: q} })},
	"queue: takes another":     {"TakeOne leased prompt", queueMutant(func(q flow.Queue) flow.Queue { return takesFirst{q} })},
	"queue: asks twice":        {"asked about the clients", queueMutant(func(q flow.Queue) flow.Queue { return askTwice{q} })},
	"queue: loses secrets":     {"the secrets of attempt", queueMutant(func(q flow.Queue) flow.Queue { return noSecrets{q} })},
	"queue: Release counts": {"has attempt", queueMutant(func(q flow.Queue) flow.Queue {
		return leased{q, func(l flow.Lease) flow.Lease { return lapseOnRelease{l} }}
	})},
	"queue: Done forgets": {"", queueMutant(func(q flow.Queue) flow.Queue { return leased{q, func(l flow.Lease) flow.Lease { return noDone{l} }} })},
	"queue: leases are free": {"want ErrLapsed", queueMutant(func(q flow.Queue) flow.Queue {
		return leased{q, func(l flow.Lease) flow.Lease { return neverLapsed{l} }}
	})},

	"signals: hides errors":        {"returns <nil>, want no", signalsMutant(func(s flow.Signals) flow.Signals { return hideErrors{s} })},
	"signals: keeps refused":       {"after a refused signal", signalsMutant(func(s flow.Signals) flow.Signals { return keepRefused{s} })},
	"signals: only passes":         {"after Receive", signalsMutant(func(s flow.Signals) flow.Signals { return passOnly{s} })},
	"signals: only keeps":          {"has returned before the receiver got it", signalsMutant(func(s flow.Signals) flow.Signals { return keepOnly{s} })},
	"signals: forgets":             {"a later receiver", signalsMutant(func(s flow.Signals) flow.Signals { return forgetful{s} })},
	"signals: one box":             {"prompt a", signalsMutant(func(s flow.Signals) flow.Signals { return oneBox{s} })},
	"signals: never drops":         {"after Drop", signalsMutant(func(s flow.Signals) flow.Signals { return undropped{s} })},
	"signals: never stops":         {"a receiver that has stopped", signalsMutant(func(s flow.Signals) flow.Signals { return unstopped{s} })},
	"signals: backwards":           {"after Receive", signalsMutant(func(s flow.Signals) flow.Signals { return backwards{s} })},
	"signals: no reasons":          {"signals: got", signalsMutant(func(s flow.Signals) flow.Signals { return noReasons{s} })},
	"signals: opens empty":         {"after reopening", signalsReopenMutant(func([]flow.Signal) []flow.Signal { return nil })},
	"signals: opens backwards":     {"after reopening", signalsReopenMutant(func(all []flow.Signal) []flow.Signal { slices.Reverse(all); return all })},
	"signals: opens the last":      {"after reopening", signalsReopenMutant(func(all []flow.Signal) []flow.Signal { return all[max(len(all)-1, 0):] })},
	"signals: opens what it got":   {"after a refused signal", testReopensRefused},
	"signals: opens dropped":       {"after reopening, Drop and reopening", testReopensDropped},
	"signals: side by side":        {"at the same time", signalsMutant(func(s flow.Signals) flow.Signals { return &sideBySide{Signals: s} })},
	"queue: lists all":             {"list of the prompts", queueMutant(func(q flow.Queue) flow.Queue { return listsAll{q} })},
	"queue: lists waiting first":   {"in the order of taking", queueMutant(func(q flow.Queue) flow.Queue { return listsWaitingFirst{q} })},
	"queue: lists in two steps":    {"was listed 2 times", queueMutant(func(q flow.Queue) flow.Queue { return listsInSteps{q} })},
	"queue: counts leased":         {"Len says", queueMutant(func(q flow.Queue) flow.Queue { return countsLeased{q} })},
	"queue: no shares":             {"want ErrFull", limitsMutant(&flow.QueueOptions{Len: 8, PerClient: 8})},
	"queue: leased are free":       {"want ErrFull", limitsMutant(&flow.QueueOptions{Len: 8}, func(q flow.Queue) flow.Queue { return &freesLeased{Queue: q} })},
	"queue: keeps ended leases":    {"taking what earlier calls have not taken", queueMutant(func(q flow.Queue) flow.Queue { return dropsEnded{q} })},
	"queue: no limits":             {"want ErrFull", limitsMutant(nil)},
	"queue: forgets leases":        {"list after reopening", testReopensWithoutLeases},
	"queue: forgets one lease":     {"list after reopening", testReopensWithOneLease},
	"store: lists by number":       {"was listed 2 times", storeMutant(func(s flow.Store) flow.Store { return listsByNumber{s} })},
	"store: the oldest first":      {"list: got", storeMutant(func(s flow.Store) flow.Store { return oldestFirst{s} })},
	"store: locked while it lists": {"did not end in time", storeMutant(func(s flow.Store) flow.Store { return &lockedStore{Store: s} })},
	"store: forgets changes":       {"got ", testReopensOldRecords},

	"executor: everyone hears":         {"another client receives", executorMutant(eachEvent(func(ev nodebus.Event) nodebus.Event { return nodebus.Event{Broadcast: true, Payload: ev.Payload} }))},
	"executor: no throttling":          {"progress events", executorMutant(floods)},
	"executor: publishes late":         {"after Execute had returned", executorMutant(publishesLate)},
	"executor: deaf":                   {"did not end in time", executorMutant(ignoresContext)},
	"executor: no executing":           {"executing", executorMutant(drops("executing"))},
	"executor: no snapshots":           {"in its first snapshot", executorMutant(drops("progress_state"))},
	"executor: drops messages":         {"conform.said", executorMutant(drops("conform.said"))},
	"executor: hides secrets":          {"ask", executorMutant(noJobSecrets)},
	"transport: ignores its context":   {"whose context has ended", transportMutant(faultyTransport{write: ignoresContextOfWrite})},
	"transport: writes after Close":    {"after Close", transportMutant(faultyTransport{write: hidesErrors})},
	"transport: never closes":          {"did not end in time", transportMutant(faultyTransport{close: neverCloses})},
	"transport: drops a frame":         {"frame", transportMutant(faultyTransport{write: dropsLast})},
	"transport: reorders":              {"frame", transportMutant(faultyTransport{write: turnsRound})},
	"server: drops a frame on a cut":   {"no further event", serverMutant(faultyTransport{}, skipsOne)},
	"server: doubles a frame on a cut": {"cut after", serverMutant(faultyTransport{}, repeatsOne)},
	"server: drops a frame":            {"the client", serverMutant(faultyTransport{write: dropsLast}, nil)},
	"server: forgets epochs":           {"gap", serverMutant(faultyTransport{}, forgetsEpochs)},
	"server: mixes up clients":         {"client ", serverMutant(faultyTransport{}, oneForAll)},

	"log: reorders":               {"", logMutant(faultyLog{hear: reorders})},
	"log: loses":                  {"has received", logMutant(faultyLog{hear: losesSome})},
	"log: doubles":                {"event", logMutant(faultyLog{hear: doubles})},
	"log: at the same time":       {"two events at the same time", logMutant(faultyLog{hear: atOnce})},
	"log: forgets Lost":           {"Lost is 0", logMutant(faultyLog{page: func(_ nodebus.LogQuery, p *nodebus.LogPage) { p.Lost = 0 }})},
	"log: always Lost":            {"nothing is lost", logMutant(faultyLog{page: func(q nodebus.LogQuery, p *nodebus.LogPage) { p.Lost = q.UpTo }})},
	"log: forgets More":           {"pages of", logMutant(faultyLog{page: func(_ nodebus.LogQuery, p *nodebus.LogPage) { p.More = false }})},
	"log: begins late":            {"the follower from", logMutant(faultyLog{place: 1})},
	"log: reads on":               {"a_query_selects", logMutant(faultyLog{query: func(q *nodebus.LogQuery) { q.UpTo = 1 << 62 }})},
	"log: shows all":              {"a_query_selects", logMutant(faultyLog{query: func(q *nodebus.LogQuery) { q.All = true }})},
	"log: reopens":                {"want ErrClosed", logMutant(faultyLog{reopens: true})},
	"log: does not know attempts": {"from_an_older_attempt", logMutant(faultyLog{unfenced: true})},
	"log: keeps what it drops":    {"after Drop", logMutant(faultyLog{undropped: true})},
	"log: never stops":            {"the follower that has stopped", logMutant(faultyLog{unstopped: true})},
	"log: mixes up clients":       {"is missing", logMutant(faultyLog{page: mixesUpClients})},
	"log: has no attempts":        {"attempt=3", logMutant(faultyLog{hear: withoutAttempt})},

	"logs: one is deaf":         {"want", logsMutant(twinFaults{deaf: 3})},
	"logs: other IDs":           {"event 0", logsMutant(twinFaults{shifts: true})},
	"logs: one forgets ends":    {"", logsMutant(twinFaults{forgets: true})},
	"logs: epochs of their own": {"has the epoch", logsMutant(twinFaults{separate: true})},

	"executor: swallows the node": {"the error is", executorMutant(anonymousError)},
	"executor: does not go on":    {"the branch that does not fail", executorMutant(stopsAtOnce)},
	"executor: reports nothing":   {"the report about the nodes", executorMutant(reportsNothing)},
}

// TestSuitesFindFaults runs the suites on the mutants, each in a process of its own,
// because the suites must fail.
func TestSuitesFindFaults(t *testing.T) {
	mutants := maps.Clone(mutants)
	maps.Copy(mutants, clientMutants())
	maps.Copy(mutants, reopenMutants)
	maps.Copy(mutants, optionalMutants)
	if name := os.Getenv("CONFORM_MUTANT"); name != "" {
		patience, err := time.ParseDuration(os.Getenv("CONFORM_PATIENCE"))
		require.NoError(t, err)
		conform.SetPatience(patience)
		mutants[name].test(t)
		return
	}
	if !*long {
		t.Skip("starts a process for each fault; run with -long, as CI does")
	}
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A fault that depends on timing may hide once. A slow machine needs more than the
			// first patience, so that the suite reports something else.
			var out string
			found := false
			for _, patience := range []time.Duration{2 * time.Second, 8 * time.Second, time.Minute} {
				if out, found = untilFault(t, name, m.want, patience); found {
					break
				}
			}
			require.True(t, found, "the suite does not say %q:\n%s", m.want, out)
			require.NotContains(t, out, "DATA RACE")
		})
	}
}

// untilFault runs the suite on a mutant in another process until the suite says want in
// the report of a failure. The rest of the suite would only take time.
func untilFault(t *testing.T, mutant, want string, patience time.Duration) (out string, found bool) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSuitesFindFaults$", "-test.timeout="+(30*time.Second+10*patience).String(), "-test.v")
	cmd.Env = append(os.Environ(), "CONFORM_MUTANT="+mutant, "CONFORM_PATIENCE="+patience.String())
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed, or has failed
	}()
	var all strings.Builder
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		all.WriteString(line + "\n")
		begins := strings.HasPrefix(line, "=== ") || strings.Contains(line, "--- PASS") || strings.Contains(line, "--- SKIP")
		if !begins && strings.Contains(line, want) {
			return all.String(), true
		}
	}
	return all.String(), false
}

func queueMutant(mutate func(flow.Queue) flow.Queue) func(*testing.T) {
	return func(t *testing.T) {
		conform.Queue(t, func(*testing.T) flow.Queue { return mutate(flow.NewQueue(nil)) })
	}
}

// lockedQueue calls skip under a lock.
type lockedQueue struct {
	flow.Queue
	mu sync.Mutex
}

func (q *lockedQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	return q.Queue.Take(ctx, func(client string) bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return skip(client)
	})
}

func (q *lockedQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.Queue.List(ctx, ids...)
}

// takesFirst leases the first prompt, and not the one that TakeOne names.
type takesFirst struct{ flow.Queue }

func (q takesFirst) TakeOne(ctx context.Context, _ string) (flow.Lease, error) {
	return q.Queue.Take(ctx, func(string) bool { return false })
}

type askTwice struct{ flow.Queue }

func (q askTwice) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	return q.Queue.Take(ctx, func(client string) bool {
		skip(client)
		return skip(client)
	})
}

type noSecrets struct{ flow.Queue }

func (q noSecrets) Push(ctx context.Context, p *nodebus.Prompt, _ map[string]string) error {
	return q.Queue.Push(ctx, p, nil)
}

// leased replaces the leases of a queue.
type leased struct {
	flow.Queue
	mutate func(flow.Lease) flow.Lease
}

func (q leased) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	if err != nil {
		return nil, err
	}
	return q.mutate(l), nil
}

type (
	lapseOnRelease struct{ flow.Lease }
	noDone         struct{ flow.Lease }
	neverLapsed    struct{ flow.Lease }
)

func (l lapseOnRelease) Release(ctx context.Context) error { return l.Extend(ctx, 0) }
func (l noDone) Done(ctx context.Context) error            { return l.Release(ctx) }
func (l neverLapsed) Done(ctx context.Context) error       { _ = l.Lease.Done(ctx); return nil }

// mutant is Local with a fault.
type mutant struct {
	*flow.Local
	execute func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error)
}

func (x mutant) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	return x.execute(ctx, job, pub)
}

type execute = func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error)

func executorMutant(mutate func(execute) execute) func(*testing.T) {
	return func(t *testing.T) {
		conform.Executor(t, func(_ *testing.T, r *flow.Registry) nodebus.Executor {
			local := flow.NewLocal(r, nil)
			return mutant{local, mutate(local.Execute)}
		}, conform.AllClaims())
	}
}

// publisher is a function as a Publisher.
type publisher func(nodebus.Event) error

func (p publisher) Publish(ev nodebus.Event) error { return p(ev) }

func eachEvent(f func(nodebus.Event) nodebus.Event) func(execute) execute {
	return func(next execute) execute {
		return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
			return next(ctx, job, publisher(func(ev nodebus.Event) error { return pub.Publish(f(ev)) }))
		}
	}
}

func drops(eventType string) func(execute) execute {
	return func(next execute) execute {
		return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
			return next(ctx, job, publisher(func(ev nodebus.Event) error {
				if ev.Payload.EventType() == eventType {
					return nil
				}
				return pub.Publish(ev)
			}))
		}
	}
}

// floods sends each progress event ten times.
func floods(next execute) execute {
	return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		return next(ctx, job, publisher(func(ev nodebus.Event) error {
			if _, ok := ev.Payload.(nodebus.Progress); ok {
				for range 9 {
					_ = pub.Publish(ev)
				}
			}
			return pub.Publish(ev)
		}))
	}
}

func publishesLate(next execute) execute {
	return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		defer time.AfterFunc(time.Millisecond, func() { _ = pub.Publish(nodebus.Event{Payload: nodebus.Custom{Type: "late"}}) })
		return next(ctx, job, pub)
	}
}

func ignoresContext(next execute) execute {
	return func(_ context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		return next(context.Background(), job, pub)
	}
}

func noJobSecrets(next execute) execute {
	return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		job.Secrets = nil
		return next(ctx, job, pub)
	}
}

func anonymousError(next execute) execute {
	return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		report, err := next(ctx, job, pub)
		if node, ok := err.(*nodebus.NodeError); ok { //nolint:errorlint // the executor's own
			err = node.Err
		}
		return report, err
	}
}

func stopsAtOnce(next execute) execute {
	return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		p := *job.Prompt
		p.Policy.Continue = false
		job.Prompt = &p
		return next(ctx, job, pub)
	}
}

func reportsNothing(next execute) execute {
	return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		report, err := next(ctx, job, pub)
		report.Nodes = nil
		return report, err
	}
}

// loose publishes a message without an address, as executors may.
func loose(next execute) execute {
	return func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		_ = pub.Publish(nodebus.Event{Payload: nodebus.Executing{UniqueID: job.Prompt.Nodes[0].ID}})
		_ = pub.Publish(nodebus.Event{Payload: nodebus.Custom{Type: "loose"}})
		return next(ctx, job, publisher(func(ev nodebus.Event) error {
			if !ev.Broadcast {
				ev.PromptID, ev.To = "", ""
			}
			return pub.Publish(ev)
		}))
	}
}

// TestEventsWithoutAnAddress runs an executor whose events have no address. They must
// reach the submitter and nobody else.
func TestEventsWithoutAnAddress(t *testing.T) {
	conform.Executor(t, func(_ *testing.T, r *flow.Registry) nodebus.Executor {
		local := flow.NewLocal(r, nil)
		return mutant{local, loose(local.Execute)}
	}, &conform.Claims{Lazy: true, Expansion: true, Hidden: true, Values: true, Lists: true, Blocking: true, Throttled: true, Snapshots: true})
}
