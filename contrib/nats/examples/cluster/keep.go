package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// place is where processes with the same number follow each other.
type place struct {
	number, own string

	mu      sync.Mutex
	running *os.Process
	address string // empty: the process does not serve yet
}

// cluster is the places of the three processes.
type cluster struct {
	places []*place
	routes string // the addresses of their servers
}

func newCluster() (*cluster, error) {
	c, all := &cluster{}, []string(nil)
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free now
		if err != nil {
			return nil, err
		}
		defer l.Close() // the next one must be another
		c.places, all = append(c.places, &place{number: strconv.Itoa(i + 1), own: l.Addr().String()}), append(all, l.Addr().String())
	}
	c.routes = strings.Join(all, ",")
	return c, nil
}

// keep keeps three processes running, and passes requests on to them, until ctx ends.
func (c *cluster) keep(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	for _, p := range c.places {
		running.Go(func() { stop(p.keep(ctx, c.routes)) })
	}
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", c.choose(r.In) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "no process answers; try again", http.StatusServiceUnavailable)
		},
	}}
	running.Go(func() { _ = web.Serve(listener) })
	for first := true; c.whole(ctx); first = false {
		if first {
			fmt.Printf("Open http://%s in a browser\n", listener.Addr())
		}
		var next <-chan time.Time
		if *kill > 0 {
			next = time.After(*kill)
		}
		select {
		case <-next:
			c.places[rand.IntN(3)].kill()
		case <-ctx.Done():
		}
	}
	err := errors.Join(context.Cause(ctx), web.Close())
	running.Wait()
	return err
}

// keep starts a process, and the next when it has ended. A process ends when its input does.
func (p *place) keep(ctx context.Context, routes string) error {
	for ctx.Err() == nil {
		cmd := exec.Command(os.Args[0], "-node", p.number, "-own", p.own, "-routes", routes, "-dir", *dir, "-run", *run)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		out, failed := cmd.StdoutPipe()
		if err = errors.Join(err, failed); err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return err
		}
		end := context.AfterFunc(ctx, func() { _ = in.Close() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.set(cmd.Process, lines.Text())
		}
		err = cmd.Wait()
		p.set(nil, "")
		if end() {
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
	role := *serve
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/prompt") {
		role = *submit
	}
	for _, i := range rand.Perm(3) {
		if p := c.places[i]; strings.Contains(role, p.number) && p.at() != "" {
			return p.at()
		}
	}
	return ""
}
