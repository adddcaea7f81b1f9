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

// keep keeps three processes running, and passes requests on to them, until ctx ends.
func keep(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	var places []*place
	var all []string
	for i := range 3 { // each server has a port that is free now
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close() // the next port must be another one
		places, all = append(places, &place{number: fmt.Sprint(i + 1), own: l.Addr().String()}), append(all, l.Addr().String())
		_ = l.Close()
	}
	var running sync.WaitGroup
	for _, p := range places {
		running.Go(func() { stop(p.keep(ctx, strings.Join(all, ","))) })
	}
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", choose(places, r.In) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "no process answers; try again", http.StatusServiceUnavailable)
		},
	}}
	running.Go(func() { _ = web.Serve(listener) })
	for first := true; whole(ctx, places); first = false {
		if first {
			fmt.Printf("Open http://%s in a browser\n", listener.Addr())
		}
		var next <-chan time.Time
		if *kill > 0 {
			next = time.After(*kill)
		}
		select {
		case <-next:
			places[rand.IntN(3)].kill()
		case <-ctx.Done():
		}
	}
	err = errors.Join(context.Cause(ctx), web.Close())
	running.Wait()
	return err
}

// keep starts a process, and the next when it has ended. A process ends when its input does.
func (p *place) keep(ctx context.Context, all string) error {
	for ctx.Err() == nil {
		cmd := exec.Command(os.Args[0], "-node", p.number, "-own", p.own, "-routes", all, "-dir", *dir, "-run", *run)
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
func whole(ctx context.Context, places []*place) bool {
	for _, p := range places {
		for p.at() == "" && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	return ctx.Err() == nil
}

// choose returns the address of a process for a request; empty if there is none.
func choose(places []*place, r *http.Request) string {
	role := *serve
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/prompt") {
		role = *submit
	}
	for _, i := range rand.Perm(3) {
		if p := places[i]; strings.Contains(role, p.number) && p.at() != "" {
			return p.at()
		}
	}
	return ""
}
