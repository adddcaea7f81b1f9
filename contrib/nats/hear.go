package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// lostTime is how long a connection is lost until the loggers learn it: a server that is
// replaced is no trouble.
var lostTime = 5 * time.Second

// ear collects what a connection reports, for the buses on it.
type ear struct {
	stop func() // ends watch, and waits for it

	mu      sync.Mutex
	loggers map[*slog.Logger]bool // of package late
	told    map[string]time.Time  // texts of refusals
	refusal error                 // the newest refusal of the server
	attempt error                 // why the newest attempt to connect has failed
}

// ears are the ears of the connections that have a bus. A connection has no place for its ear:
// its handlers are given before there is a bus.
var ears struct {
	mu  sync.Mutex
	all map[*nats.Conn]*ear
}

// earOf returns the ear of a connection; nil if it has no bus.
func earOf(nc *nats.Conn) *ear {
	ears.mu.Lock()
	defer ears.mu.Unlock()
	return ears.all[nc]
}

// hear tells a logger the errors of a connection. Handlers run in a goroutine of the
// connection, so the logger must be one of package late. hear returns a function that ends it.
func hear(nc *nats.Conn, logger *slog.Logger) (stop func()) {
	ears.mu.Lock()
	defer ears.mu.Unlock()
	e := ears.all[nc]
	if e == nil {
		e = &ear{loggers: map[*slog.Logger]bool{}, told: map[string]time.Time{}}
		ctx, end := context.WithCancel(context.Background())
		var watching sync.WaitGroup
		watching.Go(func() { e.watch(ctx, nc) })
		e.stop = func() { end(); watching.Wait() }
		if ears.all == nil {
			ears.all = map[*nats.Conn]*ear{}
		}
		ears.all[nc] = e
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loggers[logger] = true
	return func() {
		if last := e.leave(nc, logger); last {
			e.stop()
		}
	}
}

// leave forgets a logger. It reports whether it was the last one.
func (e *ear) leave(nc *nats.Conn, logger *slog.Logger) (last bool) {
	ears.mu.Lock()
	defer ears.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if delete(e.loggers, logger); len(e.loggers) > 0 || ears.all[nc] != e {
		return false
	}
	delete(ears.all, nc)
	return true
}

// log tells all loggers something.
func (e *ear) log(level slog.Level, text string, args ...any) {
	e.mu.Lock()
	all := slices.Collect(maps.Keys(e.loggers))
	e.mu.Unlock()
	for _, l := range all {
		l.Log(context.Background(), level, text, args...)
	}
}

// heard is the error handler of a connection of Connect.
func heard(nc *nats.Conn, sub *nats.Subscription, err error) {
	e := earOf(nc)
	if e == nil {
		return
	}
	level, subject := slog.LevelDebug, ""
	if errors.Is(err, nats.ErrPermissionViolation) && e.refused(err) {
		level = slog.LevelWarn // without the permission, requests have no answer
	}
	if sub != nil {
		subject = sub.Subject
	}
	e.log(level, "nats: an error of the connection", "subject", subject, "error", err)
}

// refused notes a refusal of the server, and reports whether the loggers should learn it: each
// once a minute, because whoever has no answer asks again each second.
func (e *ear) refused(err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusal = err
	text, now := err.Error(), time.Now()
	if now.Sub(e.told[text]) < time.Minute {
		return false
	}
	if len(e.told) >= 1000 {
		clear(e.told)
	}
	e.told[text] = now
	return true
}

// tried is the handler of a connection of Connect for attempts to connect that fail.
func tried(nc *nats.Conn, err error) {
	if e := earOf(nc); e != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.attempt = err
	}
}

// watch tells the loggers that the connection is lost, and that it is back. Before the first
// connection, Open tells what it waits for.
func (e *ear) watch(ctx context.Context, nc *nats.Conn) {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	connected, told := nc.IsConnected(), false
	since := time.Now() // when it was connected
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch now := time.Now(); {
		case nc.IsClosed(): // the readers say so
			return
		case nc.IsConnected():
			if told {
				e.log(slog.LevelInfo, "nats: NATS is back", "server", nc.ConnectedUrlRedacted(), "away", now.Sub(since).Round(time.Second))
			}
			connected, told, since = true, false, now
		case connected && !told && now.Sub(since) >= lostTime:
			told = true
			e.log(slog.LevelWarn, "nats: NATS is away; events wait, and calls return ErrAway until it is back", "error", faultOf(nc))
		}
	}
}

// serversOf returns the addresses of the servers of a connection.
func serversOf(nc *nats.Conn) []string {
	if nc.Opts.InProcessServer != nil { // its addresses are invented
		return []string{"the server in this process"}
	}
	return nc.Servers()
}

// faultOf returns why NATS does not answer, as far as the connection, or the server in this
// process, knows; nil if it does not. Another server of a cluster may answer.
func faultOf(nc *nats.Conn) error {
	if s, here := nc.Opts.InProcessServer.(interface{ Err() error }); here && s.Err() != nil {
		return s.Err()
	}
	last, attempt, refusal := nc.LastError(), error(nil), error(nil)
	if e := earOf(nc); e != nil {
		e.mu.Lock()
		attempt, refusal = e.attempt, e.refusal
		e.mu.Unlock()
	}
	switch {
	case nc.IsClosed():
		return nil
	case !nc.IsConnected():
		servers := strings.Join(serversOf(nc), ", ")
		if last == nil {
			last = attempt
		}
		if last == nil {
			last = errors.New("no server answers")
		}
		return fmt.Errorf("no connection to %s: %w; check that the servers run, the address and the password", servers, last)
	case refusal == nil && errors.Is(last, nats.ErrPermissionViolation) && !isHeard(nc):
		refusal = last
	}
	if refusal == nil {
		return nil
	}
	// The refusal is not wrapped: of another request, it does not say whether to send this one again.
	return errors.New("the newest refusal of the server: " + refusal.Error() + "; give the user this permission")
}

// isHeard reports whether Connect has given the error handler of a connection.
func isHeard(nc *nats.Conn) bool {
	return reflect.ValueOf(nc.ErrorHandler()).Pointer() == reflect.ValueOf(heard).Pointer()
}

// because adds to an error why NATS does not answer.
func because(nc *nats.Conn, err error) error {
	fault := faultOf(nc)
	switch {
	case fault == nil || strings.Contains(err.Error(), fault.Error()):
		return err
	case said(err) == nil && !errors.Is(err, ErrAway):
		return fault
	}
	return fmt.Errorf("%w: %w", err, fault)
}
