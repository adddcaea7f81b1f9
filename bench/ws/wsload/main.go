//go:build linux

// Command wsload measures servers of WebSocket and text/event-stream. For each measurement it starts a wsserver,
// connects clients and makes the server publish. Each phase gives one line of CSV. The
// peers take turns: a repetition measures every peer once. All clients run in one epoll
// loop that reads only the headers of frames, so that the clients cost little CPU time.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// options holds the command line.
type options struct {
	server  []string // the command that starts a server
	kinds   []string
	clients []int
	reps    int
	phases  string
	total   int64 // minimum number of deliveries in a blast
	queue   int
	stalled int
	resumes int     // how often a client comes back in phase c
	rate    float64 // events per second in phase r
	length  time.Duration
	quiet   time.Duration // minimum time without messages before idle clients are measured
	profile string        // folder for profiles; "" means no profiles
}

const usage = `i idle clients, b blast, p single events at a fixed rate, u bursts of ten, r single events at -rate, c a client comes back with a cursor, x all clients come back at once`

func parse(args []string) (o options, output string, err error) {
	f := flag.NewFlagSet("wsload", flag.ContinueOnError)
	bin := f.String("server", "./wsserver", "the `file` of the server program")
	kinds := f.String("kinds", "gws,coder,shard,nodebus,raw-shard", "comma-separated peers to measure")
	clients := f.String("n", "1,100,1000", "comma-separated numbers of clients")
	f.IntVar(&o.reps, "reps", 3, "number of repetitions")
	f.StringVar(&o.phases, "phases", "ibpucx", usage)
	f.Int64Var(&o.total, "total", 600_000, "minimum number of deliveries in a blast")
	f.IntVar(&o.queue, "queue", 0, "number of events that a client may lag behind; 0 means twice the window")
	f.IntVar(&o.stalled, "stall", 0, "number of additional clients that never read")
	f.IntVar(&o.resumes, "resumes", 200, "how often a client comes back in phase c")
	f.Float64Var(&o.rate, "rate", 1000, "events per second in phase r")
	f.DurationVar(&o.length, "length", 2*time.Second, "duration of each of the phases p, u and r")
	f.StringVar(&o.profile, "cpuprofile", "", "`folder` for a profile of the server in each phase")
	f.StringVar(&output, "o", "", "append to this `file` instead of writing to standard output")
	if err := f.Parse(args); err != nil {
		return o, "", err
	}
	o.server, o.quiet = []string{*bin}, 300*time.Millisecond
	o.kinds = strings.Split(*kinds, ",")
	for s := range strings.SplitSeq(*clients, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return o, "", fmt.Errorf("-n: %q is not a positive number of clients", s)
		}
		o.clients = append(o.clients, n)
	}
	return o, output, nil
}

func main() {
	o, output, err := parse(os.Args[1:])
	if err == nil {
		err = write(output, func(w io.Writer) error { return measureAll(w, &o) })
	}
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wsload:", err)
		os.Exit(1)
	}
}

// write calls f with a writer that appends to the file name, or with standard output if
// name is empty.
func write(name string, f func(io.Writer) error) error {
	if name == "" {
		return f(os.Stdout)
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f(file), file.Close())
}

// measureAll measures all peers in each repetition.
func measureAll(out io.Writer, o *options) error {
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, header)
	for rep := range o.reps {
		for _, n := range o.clients {
			for _, kind := range o.kinds {
				if err := measureOne(w, o, kind, n, rep); err != nil {
					return fmt.Errorf("%s, %d clients: %w", kind, n, err)
				}
				if err := w.Flush(); err != nil {
					return err
				}
			}
		}
	}
	return w.Flush()
}
