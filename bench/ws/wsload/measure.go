//go:build linux

package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/nodebus/nodebus/bench/ws/server"
)

// session measures one server with a fixed number of clients.
type session struct {
	*load
	o    *options
	out  io.Writer
	kind string
	n    int
	rep  int
}

// measureOne runs all phases with one server.
func measureOne(out io.Writer, o *options, kind string, n, rep int) (err error) {
	queue := o.queue
	if queue == 0 {
		queue = int(window(n)) * 2
	}
	c, err := start(o.server, kind, queue)
	if err != nil {
		return err
	}
	defer c.stop()
	l, err := newLoad(c)
	if err != nil {
		return err
	}
	defer l.close()
	s := &session{l, o, out, kind, n, rep}
	empty, err := c.ask("gc")
	if err != nil {
		return err
	}
	if s.wire.Cursor != "" {
		return s.comeBack()
	}
	if err := s.connectAll(); err != nil {
		return err
	}
	if s.wants('i') {
		if err := s.idle("idle", &empty); err != nil {
			return err
		}
	}
	if err := s.publish(); err != nil {
		return err
	}
	if s.wants('i') {
		return s.idle("after", &empty)
	}
	return nil
}

func (s *session) wants(phase byte) bool { return strings.IndexByte(s.o.phases, phase) >= 0 }

// window returns how many events the server may be ahead of the slowest client.
func window(clients int) int64 {
	switch {
	case clients == 1:
		return 16384
	case clients <= 100:
		return 4096
	case clients <= 1000:
		return 512
	}
	return 128
}

// ahead returns how many events the server may be ahead of the slowest client in a blast.
func (s *session) ahead() int64 {
	if s.wire.Each {
		return min(window(s.n), 64) // there is a window for each client
	}
	return window(s.n)
}

// connectAll returns when the server counts all clients and the clients have read their
// greetings.
func (s *session) connectAll() error {
	for i := range s.o.stalled + s.n {
		if err := s.connect(i < s.o.stalled); err != nil {
			return err
		}
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		st, err := s.child.ask("stat")
		switch {
		case err != nil:
			return err
		case st.Clients == s.n+s.o.stalled:
			return s.settle(s.o.quiet)
		case time.Since(began) > 10*time.Second:
			return fmt.Errorf("the server counts only %d clients after 10 seconds", st.Clients)
		}
	}
}

func (s *session) emit(phase, columns string) {
	fmt.Fprintf(s.out, "%s,%d,%d,%s,%s\n", s.kind, s.n, s.rep, phase, columns)
}

// idle reports the cost of a client that receives nothing.
func (s *session) idle(phase string, empty *server.Stat) error {
	st, err := s.child.ask("gc")
	if err != nil {
		return err
	}
	if s.o.profile != "" {
		if _, err := s.child.ask("heap %s", s.profile(phase)+".heap"); err != nil {
			return err
		}
	}
	n := float64(st.Clients)
	s.emit(phase, fmt.Sprintf("%d,0,rss=%.0f,heap=%.0f,stacks=%.0f,goroutines=%.2f", st.Clients,
		float64(st.RSS-empty.RSS)/n, (float64(st.Heap)-float64(empty.Heap))/n,
		(float64(st.Stacks)-float64(empty.Stacks))/n, float64(st.Goroutines-empty.Goroutines)/n))
	return nil
}

// publish runs the phases that send events. A short blast comes first, so that buffers
// have grown and the code is warm.
func (s *session) publish() error {
	events := max(s.o.total/int64(s.n), 64)
	if s.wire.Each {
		events *= int64(s.n)
	}
	if s.n == 1 {
		events = min(events, 200_000)
	}
	if _, err := s.run(s.blast(s.warm(events))); err != nil {
		return err
	}
	if s.wants('b') {
		if err := s.measureBlast(events); err != nil {
			return err
		}
	}
	rate := s.rate()
	for _, p := range []struct {
		letter byte
		phase
	}{
		{'p', s.paced("paced", rate, 1)},
		{'r', s.paced(fmt.Sprintf("steady%.0f", s.o.rate), s.o.rate, 1)},
		{'u', s.paced("burst10", max(rate*2, 20), 10)},
	} {
		if s.wants(p.letter) {
			if err := s.runAndTell(p.phase); err != nil {
				return err
			}
		}
	}
	return nil
}

// warm returns the number of events before the first measurement.
func (s *session) warm(events int64) int64 {
	if s.wire.Each {
		return int64(s.n) * 16
	}
	return min(events, 64)
}

// rate returns the events per second in the phases p and u, so that there are about 20 000
// deliveries per second.
func (s *session) rate() float64 {
	switch {
	case s.n == 1:
		return 1000
	case s.wire.Each:
		return 20_000
	}
	return max(20_000/float64(s.n), 4)
}

func (s *session) blast(events int64) phase {
	ack := time.Millisecond
	if s.n == 1 {
		ack = 200 * time.Microsecond
	}
	return phase{name: "blast", command: fmt.Sprintf("blast %d %d", events, s.ahead()), ack: ack}
}

func (s *session) paced(name string, rate float64, burst int) phase {
	return phase{name: name, command: fmt.Sprintf("paced %f %d %f", rate, burst, s.o.length.Seconds()), timed: true}
}

// measureBlast measures a blast. If the blast was too short, it measures a longer blast.
func (s *session) measureBlast(events int64) error {
	const enough = 0.5 // seconds
	return s.profiled("blast", func() error {
		p := s.blast(events)
		r, err := s.run(p)
		if err == nil && r.wall < enough && s.o.stalled == 0 && s.o.length >= time.Second {
			r, err = s.run(s.blast(int64(float64(events) * min(1/r.wall, 30))))
		}
		if err == nil {
			s.emit(p.name, s.row(&r))
		}
		return err
	})
}

// runAndTell runs a phase and writes its line of CSV.
func (s *session) runAndTell(p phase) error {
	return s.profiled(p.name, func() error {
		r, err := s.run(p)
		if err == nil {
			s.emit(p.name, s.row(&r))
		}
		return err
	})
}

// profiled calls f. If profiles are requested, the server is profiled meanwhile.
func (s *session) profiled(phase string, f func() error) error {
	if s.o.profile == "" {
		return f()
	}
	if _, err := s.child.ask("profile %s", s.profile(phase)+".cpu"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := s.child.ask("profile")
	return err
}

func (s *session) profile(phase string) string {
	return filepath.Join(s.o.profile, fmt.Sprintf("%s-%d-%d-%s", s.kind, s.n, s.rep, phase))
}
