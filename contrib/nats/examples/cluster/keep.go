package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"
)

// rests is what a process says when it works no longer.
const rests = "rests"

var leave = make(chan struct{}) // closed when this process may end

// obey does what the first process says, a line at a time. If the first process has ended, so
// does this one.
func obey(stop func()) {
	signal.Ignore(os.Interrupt) // a terminal sends it to all, and the first process ends the others
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if stop(); lines.Text() == "leave" {
			close(leave)
		}
	}
	os.Exit(1)
}

// rest tells the first process that this one works no longer, and waits until it may end.
func rest() {
	fmt.Println(rests)
	<-leave
}

// place is where processes with the same number follow each other.
type place struct {
	number, own string

	mu      sync.Mutex
	running *os.Process
	address string // empty: the process does not serve
}

// cluster is the places of the three processes.
type cluster struct {
	dir, submit, run, serve string // as the flags have them
	places                  []*place
	routes                  string         // the addresses of their servers
	working                 sync.WaitGroup // the places where a process may still work
}

// first is the process that you start.
func first(ctx context.Context) error {
	for name, numbers := range map[string]string{"submit": *submit, "run": *run, "serve": *serve} {
		if numbers == "" || strings.Trim(numbers, "123") != "" {
			return fmt.Errorf("-%s %q: give the numbers of processes, such as 123 or 2", name, numbers)
		}
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("%q is not a flag; -help shows the flags", flag.Arg(0))
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("the page has no address; choose another one with -listen: %w", err)
	}
	c := &cluster{dir: *dir, submit: *submit, run: *run, serve: *serve}
	if err := c.choosePorts(); err != nil {
		return err
	}
	fmt.Printf("Three processes start, in about 10 seconds. Their files are in %s\n", c.dir)
	return c.keep(ctx, listener, *kill)
}

// keep keeps three processes running, and passes requests on to them, until ctx ends.
func (c *cluster) keep(ctx context.Context, listener net.Listener, kill time.Duration) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	c.working.Add(len(c.places))
	for _, p := range c.places {
		running.Go(func() { stop(c.follow(ctx, p)) })
	}
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", c.choose(r.In) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "no process answers; try again", http.StatusServiceUnavailable)
		},
	}}
	running.Go(func() { _ = web.Serve(listener) })
	for told := false; c.whole(ctx); told = true {
		if !told {
			fmt.Printf("Open http://%s in a browser, choose the example “verses”, and press Run.\n", listener.Addr())
		}
		var next <-chan time.Time
		if kill > 0 {
			next = time.After(kill)
		}
		select {
		case <-next:
			c.places[rand.IntN(3)].kill()
		case <-ctx.Done():
		}
	}
	fmt.Println("The processes end. The next start goes on with what they have not ended.")
	err := errors.Join(context.Cause(ctx), web.Close())
	running.Wait()
	return err
}

// choosePorts gives each server a port that is free now.
func (c *cluster) choosePorts() error {
	var all []string
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close() // not earlier: the next port must be another one
		all = append(all, l.Addr().String())
		c.places = append(c.places, &place{number: strconv.Itoa(i + 1), own: all[i]})
	}
	c.routes = strings.Join(all, ",")
	return nil
}

// follow starts a process, and the next when it has ended, until ctx ends. A process says its
// address when it is ready. No server ends before all processes have handed over what they run:
// the others would have to choose new leaders first.
func (c *cluster) follow(ctx context.Context, p *place) error {
	done := sync.OnceFunc(c.working.Done)
	defer done()
	for ctx.Err() == nil {
		cmd := exec.Command(os.Args[0], "-node", p.number, "-own", p.own, "-routes", c.routes, "-dir", c.dir, "-run", c.run)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		out, failed := cmd.StdoutPipe()
		if err = errors.Join(err, failed); err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return err
		}
		end := context.AfterFunc(ctx, func() { _, _ = io.WriteString(in, "end\n") })
		served := false
		for lines := bufio.NewScanner(out); lines.Scan(); served = true {
			if lines.Text() == rests {
				p.set(nil, "")
				if ctx.Err() != nil {
					done()
					c.working.Wait()
				}
				_, _ = io.WriteString(in, "leave\n")
				continue
			}
			p.set(cmd.Process, lines.Text())
			fmt.Printf("process %s is ready (pid %d)\n", p.number, cmd.Process.Pid)
		}
		err = cmd.Wait()
		p.set(nil, "")
		switch {
		case !end(): // ctx has ended
		case !served && cmd.ProcessState.ExitCode() > 0: // by itself; it has said why
			return fmt.Errorf("process %s could not start", p.number)
		default:
			fmt.Printf("process %s has ended (%v) and starts again\n", p.number, err)
			time.Sleep(time.Second)
		}
	}
	return context.Cause(ctx)
}

func (p *place) set(running *os.Process, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.address = running, address
}

func (p *place) at() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

func (p *place) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.address = ""; p.running != nil {
		fmt.Printf("kill -9 %d, process %s\n", p.running.Pid, p.number)
		_ = p.running.Kill()
	}
}

// whole waits until all processes are ready; false: ctx has ended.
func (c *cluster) whole(ctx context.Context) bool {
	for _, p := range c.places {
		for p.at() == "" && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	return ctx.Err() == nil
}

// choose returns the address of a process for a request; empty if there is none.
func (c *cluster) choose(r *http.Request) string {
	role, connects := c.serve, r.Header.Get("Upgrade") != ""
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/prompt") {
		role = c.submit
	}
	for _, i := range rand.Perm(3) {
		p := c.places[i]
		if address := p.at(); address != "" && strings.Contains(role, p.number) {
			if connects {
				fmt.Printf("a browser connects to process %s\n", p.number)
			}
			return address
		}
	}
	return ""
}
