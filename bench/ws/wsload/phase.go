//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus/bench/internal/measure"
	"github.com/nodebus/nodebus/bench/ws/server"
)

// phase is a time in which the server publishes.
type phase struct {
	name    string
	command string
	ack     time.Duration // how often the server is told of the slowest client; 0: never
	timed   bool          // collect latencies
}

// lostAfter is how long nothing may come before what is missing counts as lost.
const lostAfter = 4 * time.Second

// result of a phase.
type result struct {
	before, after, published server.Stat
	wall                     float64 // seconds
	own, others              float64 // CPU seconds of the load, and of all but it and the server
	lost                     int64
}

// run has the server publish and reads until everything has come, or nothing
// has for a while.
func (l *load) run(p phase) (r result, err error) {
	for _, c := range l.clients {
		c.count = 0
	}
	l.total, l.timed, l.samples = 0, p.timed, l.samples[:0]
	if r.before, err = l.child.ask("stat"); err != nil {
		return r, err
	}
	own, machine := cpuSeconds(), machineSeconds()
	began := time.Now()
	if err := l.child.tell("%s", p.command); err != nil {
		return r, err
	}
	var gone bool
	done, end, moved, last := false, began, began, int64(-1)
	err = l.pump(acks{every: p.ack}, func() bool {
		if !done && !gone {
			select {
			case st, ok := <-l.child.answers:
				r.published, done, gone = st, ok, !ok
			default:
			}
		}
		now := time.Now()
		if l.total != last {
			last, moved = l.total, now
		}
		end = moved
		return gone || done && l.total >= l.due(&r) || now.Sub(moved) > lostAfter
	})
	if err != nil {
		return r, err
	}
	if !done { // the window is closed because of lost messages
		if err := l.child.tell("a %d", int64(1)<<40); err != nil {
			return r, err
		}
		if r.published, err = l.child.answer(); err != nil {
			return r, err
		}
	}
	r.wall, r.lost = end.Sub(began).Seconds(), l.due(&r)-l.total
	r.own, r.others = cpuSeconds()-own, machineSeconds()-machine
	r.after, err = l.child.ask("stat")
	r.others -= r.own + r.after.CPU() - r.before.CPU()
	return r, err
}

// due is how many messages should come in all.
func (l *load) due(r *result) int64 { return r.published.Published * int64(len(l.clients)) }

func cpuSeconds() float64 {
	user, system := measure.CPU()
	return (user + system).Seconds()
}

// machineSeconds is how long the machine's processors have been busy.
func machineSeconds() (t float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 { // the name, idle, waiting, guests
			continue
		}
		ticks, _ := strconv.ParseFloat(f, 64)
		t += ticks
	}
	return t / 100
}

const header = "kind,clients,rep,phase,deliveries,lost,wall_s,per_s,cpu_s,cpu_s_per_M,user_per_M,sys_per_M," +
	"writes_per_msg,mallocs_per_msg,load_cpu_s,p50_us,p99_us,p999_us,other_cores,closed,publish_us"

// row is what the columns after phase say.
func (l *load) row(r *result) string {
	d := float64(max(l.total, 1))
	slices.Sort(l.samples)
	q := func(f float64) float64 {
		if len(l.samples) == 0 {
			return 0
		}
		return float64(l.samples[int(f*float64(len(l.samples)-1))]) / 1e3
	}
	cpu := r.after.CPU() - r.before.CPU()
	return fmt.Sprintf("%d,%d,%.4f,%.0f,%.4f,%.4f,%.4f,%.4f,%.4f,%.5f,%.4f,%.1f,%.1f,%.1f,%.3f,%d,%.2f",
		l.total, r.lost, r.wall, d/r.wall, cpu, cpu/d*1e6,
		(r.after.User-r.before.User)/d*1e6, (r.after.System-r.before.System)/d*1e6,
		float64(r.after.Writes-r.before.Writes)/d, float64(r.after.Mallocs-r.before.Mallocs)/d,
		r.own, q(.5), q(.99), q(.999), r.others/r.wall, l.closed,
		r.published.Busy/float64(max(r.published.Published, 1))*1e6)
}
