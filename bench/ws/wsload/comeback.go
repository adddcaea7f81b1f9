//go:build linux

package main

import (
	"fmt"
	"time"
)

const (
	behind       = 1000 // events that a client has missed in phase c
	promptsEach  = 10   // prompts that the server keeps for each client in phase x
	promptEvents = 5    // events of each of these prompts
	storms       = 3    // how often all clients come back in phase x
)

// comeBack runs the phases in which clients come back with a cursor.
func (s *session) comeBack() error {
	s.cursor = []byte(s.wire.Cursor)
	if s.wants('c') {
		if err := s.resume(); err != nil {
			return err
		}
	}
	if s.wants('x') {
		return s.reconnect()
	}
	return nil
}

// resume measures a client that comes back a number of events behind, and the same client
// without anything to catch up with, which shows the cost of connecting.
func (s *session) resume() error {
	c, err := s.first()
	if err != nil {
		return err
	}
	if err := s.next(c, 1); err != nil {
		return err
	}
	begin := c.cursor
	if err := s.next(c, behind); err != nil {
		return err
	}
	end := c.cursor
	s.drop()
	for _, p := range []struct {
		phase, cursor string
		missed        int64
	}{{"resume", begin, behind}, {"connect", end, 0}} {
		one := func() error {
			c, err := s.dial(0, "&since="+p.cursor, false)
			if err == nil {
				err = s.all(int64(s.wire.Greetings) + p.missed)
			}
			if err == nil && p.missed > 0 && (c.cursor != end || c.events != p.missed) {
				err = fmt.Errorf("the client came back at %s and received %d events, the last at %s, but %d events until %s were due",
					p.cursor, c.events, c.cursor, p.missed, end)
			}
			s.drop()
			return err
		}
		if err := s.times(p.phase, s.o.resumes, p.missed, one); err != nil {
			return err
		}
	}
	return nil
}

// reconnect measures all clients coming back at once. The server keeps prompts of all clients;
// each client is owed its last prompt in the phase reconnect, and nothing in the phase
// connect-all.
func (s *session) reconnect() error {
	if err := s.keep(promptsEach - 1); err != nil {
		return err
	}
	cursor, err := s.now()
	if err != nil {
		return err
	}
	if err := s.keep(1); err != nil {
		return err
	}
	if err := s.storm("reconnect", cursor, promptEvents); err != nil {
		return err
	}
	if cursor, err = s.now(); err != nil {
		return err
	}
	return s.storm("connect-all", cursor, 0)
}

// keep publishes a number of prompts for each client.
func (s *session) keep(prompts int) error {
	clients := s.n + 1 // client 0 does not take part in a storm
	_, err := s.child.ask("keep %d %d %d", prompts*clients, promptEvents, clients)
	return err
}

// now returns the cursor of an event that is published now, to client 0.
func (s *session) now() (string, error) {
	c, err := s.first()
	if err != nil {
		return "", err
	}
	defer s.drop()
	err = s.next(c, 1)
	return c.cursor, err
}

// storm measures how long it takes until all clients have come back at once, and each has
// received the events that it missed.
func (s *session) storm(phase, cursor string, missed int64) error {
	return s.times(phase, storms, missed*int64(s.n), func() error {
		defer s.drop()
		for i := range s.n {
			if _, err := s.dial(i+1, "&since="+cursor, false); err != nil {
				return err
			}
		}
		return s.all(int64(s.wire.Greetings) + missed)
	})
}

// hangs is the time without any message after which all gives up.
const hangs = time.Minute

// first connects client 0 so that it receives cursors. It waits for what the server has for
// this client from before: all of that comes before an event that is published now.
func (s *session) first() (*client, error) {
	c, err := s.dial(0, "&"+s.wire.Since, false)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); time.Since(began) < hangs; {
		now := time.Now().UnixNano()
		if _, err := s.child.ask("blast 1 2"); err != nil {
			return nil, err
		}
		moved, seen := time.Now(), int64(-1)
		err := s.pump(acks{}, func() bool {
			if s.total != seen {
				seen, moved = s.total, time.Now()
			}
			return c.made >= now || time.Since(moved) > s.o.quiet
		})
		if err != nil || c.made >= now {
			return c, err
		}
		// The server did not know the client yet.
	}
	return nil, fmt.Errorf("client 0 has received %d messages, but not the event that was published last", c.count)
}

// next publishes n events for c and waits until c has received them.
func (s *session) next(c *client, n int64) error {
	due := c.count + n
	if _, err := s.child.ask("blast %d %d", n, n+1); err != nil {
		return err
	}
	return s.all(due)
}

// all reads until each client has received exactly n messages. It fails if a client receives
// more, or if no message arrives for a minute.
func (s *session) all(n int64) error {
	last, moved := int64(-1), time.Now()
	var err error
	pumped := s.pump(acks{}, func() bool {
		if s.total != last {
			last, moved = s.total, time.Now()
		}
		done := true
		for _, c := range s.clients {
			done = done && c.open && c.count >= n
			if c.count > n || time.Since(moved) > hangs {
				err = fmt.Errorf("client %d has received %d messages, but %d were due", c.number, c.count, n)
			}
		}
		return done || err != nil
	})
	if pumped != nil {
		return pumped
	}
	return err
}

// times runs f several times and reports the mean cost.
func (s *session) times(phase string, n int, events int64, f func() error) error {
	return s.profiled(phase, func() error {
		before, err := s.child.ask("stat")
		if err != nil {
			return err
		}
		began := time.Now()
		for range n {
			if err := f(); err != nil {
				return fmt.Errorf("%s: %w", phase, err)
			}
		}
		wall := time.Since(began)
		after, err := s.child.ask("stat")
		if err != nil {
			return err
		}
		s.emit(phase, fmt.Sprintf("%d,0,cpu_ms=%.4f,wall_ms=%.4f", events,
			(after.CPU()-before.CPU())*1e3/float64(n), wall.Seconds()*1e3/float64(n)))
		return nil
	})
}
