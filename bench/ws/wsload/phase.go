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

// phase is a period in which the server publishes.
type phase struct {
	name    string
	command string
	ack     time.Duration // how often wsload sends the count of the slowest client; 0 means never
	timed   bool          // collect latencies
}

// lostAfter is the time without any message after which missing messages count as lost.
const lostAfter = 4 * time.Second

// result holds the result of a phase.
type result struct {
	before, after, published server.Stat
	wall                     float64 // seconds
	own, others              float64 // CPU seconds of wsload, and of all processes except wsload and the server
	lost                     int64
}

// run makes the server publish. It reads until all messages have arrived, or until no
// message arrives for lostAfter.
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
	if !done { // lost messages keep the window closed; open it
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

// due returns the number of messages that all clients together should receive.
func (l *load) due(r *result) int64 {
	if l.wire.Each {
		return r.published.Published
	}
	return r.published.Published * int64(len(l.clients))
}

func cpuSeconds() float64 {
	user, system := measure.CPU()
	return (user + system).Seconds()
}

// machineSeconds returns the total busy time of all processors of the machine, in seconds.
func machineSeconds() (t float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 { // skip the name, idle, waiting and guests
			continue
		}
		ticks, _ := strconv.ParseFloat(f, 64)
		t += ticks
	}
	return t / 100
}

const header = "kind,clients,rep,phase,deliveries,lost,wall_s,per_s,cpu_s,cpu_s_per_M,user_per_M,sys_per_M," +
	"writes_per_msg,mallocs_per_msg,load_cpu_s,p50_us,p99_us,p999_us,other_cores,closed,publish_us,publish_p50_us"

// row returns the cells of the columns after phase.
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
	return fmt.Sprintf("%d,%d,%.4f,%.0f,%.4f,%.4f,%.4f,%.4f,%.4f,%.5f,%.4f,%.1f,%.1f,%.1f,%.3f,%d,%.2f,%.2f",
		l.total, r.lost, r.wall, d/r.wall, cpu, cpu/d*1e6,
		(r.after.User-r.before.User)/d*1e6, (r.after.System-r.before.System)/d*1e6,
		float64(r.after.Writes-r.before.Writes)/d, float64(r.after.Mallocs-r.before.Mallocs)/d,
		r.own, q(.5), q(.99), q(.999), r.others/r.wall, l.closed,
		r.published.Busy/float64(max(r.published.Published, 1))*1e6, r.published.Median*1e6)
}
