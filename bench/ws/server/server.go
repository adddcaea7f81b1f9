//go:build linux

// Package server is the server of the benchmarks of WebSocket and of text/event-stream. One of the peers listens on its
// own port, and commands on standard input make it publish.
//
//	blast EVENTS WINDOW        publish EVENTS events as fast as the window allows
//	paced PER-SECOND BURST S   publish bursts at a fixed rate, for S seconds
//	a N                        the slowest client has received N events
//	keep PROMPTS EVENTS N      publish prompts of N clients and end them
//	stat, gc                   report figures; collect garbage, then report figures
//	profile FILE, profile      start a CPU profile; stop the CPU profile
//	heap FILE                  write a heap profile
//	quit                       end the server
//
// Every command except a and quit is answered by one JSON object on standard output.
package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Main runs a server with these arguments until it reads the command quit or the end of in.
func Main(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("wsserver", flag.ContinueOnError)
	kind := flags.String("kind", "", "the peer to run: "+strings.Join(Kinds(), ", "))
	queue := flags.Int("queue", 1024, "number of events that a client may lag behind; peers with a fixed limit ignore it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	mk, ok := peers()[*kind]
	if !ok {
		return fmt.Errorf("-kind: unknown peer %q; known peers are %s", *kind, strings.Join(Kinds(), ", "))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c := &control{peer: mk(*queue), out: json.NewEncoder(out), ack: make(chan struct{}, 1)}
	go func() {
		if err := c.peer.Serve(ln); err != nil {
			fmt.Fprintln(os.Stderr, "wsserver:", err)
		}
	}()
	wire := c.peer.Wire()
	c.answer(Stat{Addr: ln.Addr().String(), Wire: &wire})
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" {
			return nil
		}
		if err := c.do(words[0], words[1:]); err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
	}
	return lines.Err()
}

// control executes the commands.
type control struct {
	peer  Peer
	out   *json.Encoder // needs no lock: wsload waits for each answer before the next command
	seen  atomic.Int64
	ack   chan struct{}
	files []io.Closer
}

func (c *control) answer(s Stat) {
	if err := c.out.Encode(s); err != nil {
		fmt.Fprintln(os.Stderr, "wsserver:", err)
	}
}

var errArguments = errors.New("unknown command or wrong number of arguments")

func (c *control) do(verb string, args []string) error {
	switch {
	case verb == "a" && len(args) == 1:
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		c.acked(n)
	case verb == "stat":
		c.answer(readStat(c.peer))
	case verb == "gc":
		runtime.GC()
		debug.FreeOSMemory()
		c.answer(readStat(c.peer))
	case verb == "blast" && len(args) == 2:
		n, err := numbers(args)
		if err != nil {
			return err
		}
		c.seen.Store(0)
		go c.blast(int64(n[0]), int64(n[1]))
	case verb == "paced" && len(args) == 3:
		n, err := numbers(args)
		if err != nil {
			return err
		}
		go c.paced(n[0], int64(n[1]), n[2])
	case verb == "keep" && len(args) == 3:
		return c.keep(args)
	case verb == "profile":
		return c.profile(args)
	case verb == "heap" && len(args) == 1:
		return c.heap(args[0])
	default:
		return errArguments
	}
	return nil
}

func numbers(args []string) ([]float64, error) {
	ns := make([]float64, len(args))
	for i, a := range args {
		var err error
		if ns[i], err = strconv.ParseFloat(a, 64); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

func (c *control) acked(n int64) {
	c.seen.Store(n)
	select {
	case c.ack <- struct{}{}:
	default:
	}
}

// turns returns the number of events after which each client has received one more.
func (c *control) turns() int64 {
	if c.peer.Wire().Each {
		return int64(max(c.peer.Clients(), 1))
	}
	return 1
}

// publish publishes event number seq. If the events are addressed, the clients take turns;
// a turn is a burst.
func (c *control) publish(seq, turns, burst int64) {
	if s, ok := c.peer.(Sender); ok {
		s.Send(int(seq/burst%turns), seq)
		return
	}
	c.peer.Broadcast(seq)
}

// blast publishes n events. It is never more than window events ahead of the slowest
// client.
func (c *control) blast(n, window int64) {
	turns := c.turns()
	began := time.Now()
	for i := range n {
		for i/turns-c.seen.Load() >= window {
			<-c.ack
		}
		c.publish(i, turns, 1)
	}
	c.answer(Stat{Published: n, Seconds: time.Since(began).Seconds()})
}

// shortest is the shortest pause between two bursts. More bursts per second are published
// several at a time, because waking up would cost more than publishing.
const shortest = time.Millisecond

// paced publishes bursts of events; rate is the total number of events per second.
func (c *control) paced(rate float64, burst int64, seconds float64) {
	gap := time.Duration(float64(time.Second) * float64(burst) / rate)
	bursts := max(int64(shortest/gap), 1)
	gap *= time.Duration(bursts)
	turns := c.turns()
	var events int64
	var busy time.Duration
	var each []time.Duration
	began := time.Now()
	for round := range int64(seconds / gap.Seconds()) {
		time.Sleep(time.Until(began.Add(time.Duration(round) * gap)))
		for range burst * bursts {
			t := time.Now()
			c.publish(events, turns, burst)
			d := time.Since(t)
			busy += d
			each = append(each, d)
			events++
		}
	}
	c.answer(Stat{Published: events, Seconds: time.Since(began).Seconds(), Busy: busy.Seconds(), Median: median(each).Seconds()})
}

// median sorts d. The median of no durations is 0.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

func (c *control) keep(args []string) error {
	k, ok := c.peer.(Keeper)
	if !ok {
		return errors.New("this peer keeps no events")
	}
	n, err := numbers(args)
	if err != nil {
		return err
	}
	k.Keep(int(n[0]), int(n[1]), int(n[2]))
	c.answer(Stat{})
	return nil
}

func (c *control) profile(args []string) error {
	if len(args) == 0 {
		pprof.StopCPUProfile()
		for _, f := range c.files {
			if err := f.Close(); err != nil {
				return err
			}
		}
		c.files = nil
	} else {
		f, err := os.Create(args[0])
		if err != nil {
			return err
		}
		c.files = append(c.files, f)
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	c.answer(Stat{})
	return nil
}

func (c *control) heap(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	runtime.GC()
	if err := errors.Join(pprof.WriteHeapProfile(f), f.Close()); err != nil {
		return err
	}
	c.answer(Stat{})
	return nil
}
