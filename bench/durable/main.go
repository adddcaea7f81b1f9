// Command durable measures the parts of nodebus that outlive the process, beside what they are
// made of and beside the parts in memory: contrib/bolt beside plain bbolt, or contrib/nats beside
// plain JetStream, with servers in this process. Each peer has files of its own. The peers take
// turns of some milliseconds, because the disk changes from one second to the next; a figure is
// the median of the turns. Each line of CSV is one figure of one peer in one repetition.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nodebus/nodebus/bench/internal/measure"
)

// options holds the command line.
type options struct {
	long    bool
	reps    int
	only    []string // phases; all if empty
	folder  string   // the folder of the files
	backend *backend
}

// header names the cells before the figures. A figure says its own name.
const header = "kind,size,rep,phase,figures"

func main() {
	if err := measureAll(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "durable:", err)
		}
		os.Exit(1)
	}
}

func measureAll(args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("durable", flag.ContinueOnError)
	f.BoolVar(&o.long, "long", false, "measure long enough for the figures to mean something")
	f.IntVar(&o.reps, "reps", 1, "number of repetitions")
	f.StringVar(&o.folder, "dir", "", "the `folder` of the files: the disk that is measured; the folder for temporary files if empty")
	name := f.String("backend", "bolt", "bolt, nats (one server) or nats-cluster (three); nats-unsynced and nats-cluster-unsynced acknowledge before they write")
	only := f.String("phases", "", "comma-separated phases to measure; all if empty")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.backend = backendOf(*name); o.backend == nil {
		return fmt.Errorf("-backend %q: there is no such backend", *name)
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	fmt.Fprintln(out, header)
	for rep := range o.reps {
		for _, p := range phases(&o) {
			if len(o.only) > 0 && !slices.Contains(o.only, p.name) {
				continue
			}
			if err := p.measure(out, &o, rep); err != nil {
				return fmt.Errorf("%s %d: %w", p.name, p.size, err)
			}
		}
	}
	return nil
}

// phase is one line of a table: the same work, done by each peer.
type phase struct {
	name  string
	size  int // what the phase varies, for example the number of callers
	turns int
	n     int // work of a turn
	peers []peer
}

// peer does the work of a phase. begin prepares it in a folder of its own.
type peer struct {
	name  string
	begin func(dir string) (*worker, error)
}

// worker does the work of turns. turn does n pieces, and returns the time that counts.
type worker struct {
	turn func(n int) (time.Duration, error)
	end  func() error
	host *host                       // if it has one
	more func(n int) (string, error) // further figures after n pieces; may be nil
}

// measure lets the peers take turns. Each turn begins with another peer.
func (p *phase) measure(out io.Writer, o *options, rep int) (err error) {
	dir, err := os.MkdirTemp(o.folder, "nodebus-durable")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	workers := make([]*worker, len(p.peers))
	for i, peer := range p.peers {
		own := filepath.Join(dir, peer.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		w, err := peer.begin(own)
		if err != nil {
			return fmt.Errorf("%s: %w", peer.name, err)
		}
		defer func() { err = errors.Join(err, w.end()) }()
		workers[i] = w
	}
	took, used := make([][]time.Duration, len(p.peers)), make([]time.Duration, len(p.peers))
	for turn := range p.turns {
		for k := range p.peers {
			i := (turn + k) % len(p.peers)
			before := cpu()
			d, err := workers[i].turn(p.n)
			used[i] += cpu() - before
			if err != nil {
				return fmt.Errorf("%s: %w", p.peers[i].name, err)
			}
			took[i] = append(took[i], d)
		}
	}
	for i, w := range workers {
		slices.Sort(took[i])
		each := took[i][len(took[i])/2].Seconds() / float64(p.n)
		more := ""
		if w.more != nil {
			if more, err = w.more(p.turns * p.n); err != nil {
				return fmt.Errorf("%s: %w", p.peers[i].name, err)
			}
		}
		cpu := used[i].Seconds() / float64(p.n*p.turns)
		fmt.Fprintf(out, "%s,%d,%d,%s,us=%.4g,cpu_us=%.4g%s\n", p.peers[i].name, p.size, rep, p.name, 1e6*each, 1e6*cpu, more)
	}
	return nil
}

// cpu returns the CPU time of the process so far.
func cpu() time.Duration {
	user, system := measure.CPU()
	return user + system
}

// phases returns everything that is measured.
func phases(o *options) []phase {
	turns, few, all := 2, 2, 20
	if o.long {
		turns, few, all = 12, 5, 10_000
	}
	b := o.backend
	list := []phase{
		{"submit", 1, turns, min(all, 40), b.submits(1)},
		{"submit", 32, turns, min(all, 640), b.submits(32)},
		{"prompt", 1, turns, min(all, 10), b.prompts(1)},
		{"prompt", 32, turns, min(all, 64), b.prompts(32)},
		{"events", 1, turns, min(all, 2000), b.publishes(1)},
		{"events", 8, turns, min(all, 2000), b.publishes(8)},
		{"one-event", 1, turns, min(all, 50), b.singles()},
		{"resume", 1000, turns, 1, b.resumes(1000)},
		{"fanout", 100, turns, min(all, 400), b.fanouts(100)},
		{"fanout-steady", 100, few, all, b.fanouts(100)}, // a turn is long enough that its beginning and end do not matter
		{"open-new", 0, few, 1, b.begins()},
		{"open-prompts", all, few, 1, b.opens(fillPrompts, all)},
		{"open-events", 10 * all, few, 1, b.opens(fillEvents, 10*all)},
		{"file-prompts", all, 1, all, b.fills(fillPrompts)},
		{"file-records", all / 5, 1, all / 5, b.fills(fillRecords)},
		{"file-events", 10 * all, 1, 10 * all, b.fills(fillEvents)},
		{"binary", 1, 1, 1, b.binaries()},
	}
	if b.openAll != nil {
		list = append(list,
			phase{"grow-take", 0, turns, min(all, 200), b.growing(takes)},
			phase{"grow-prompts", 0, turns, min(all, 128), b.growing(does)},
			phase{"grow-events", 0, turns, min(all, 3000), b.growing(hears)},
		)
	}
	return list
}

// each does n pieces of work in some goroutines.
func each(callers, n int, work func(caller, i int) error) (time.Duration, error) {
	errs := make(chan error, callers)
	began := time.Now()
	for c := range callers {
		go func() {
			var err error
			for i := c; i < n && err == nil; i += callers {
				err = work(c, i)
			}
			errs <- err
		}()
	}
	var err error
	for range callers {
		err = errors.Join(err, <-errs)
	}
	return time.Since(began), err
}
