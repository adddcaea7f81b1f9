package nats_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// TestOpenEndsWithItsContext ends the context of Open while a part is being opened. Nothing
// of the bus stays.
func TestOpenEndsWithItsContext(t *testing.T) {
	defer nats.SetOrphanTime(0)()
	for _, c := range []struct{ name, at, err string }{
		{"the log is read", "CONSUMER.MSG.NEXT.%s_LOG", "the log is not open yet: this process has read message 0 of "},
		{"the queue is read", "CONSUMER.MSG.NEXT.%s_QUEUE", "context canceled"},
		{"the store is read", "CONSUMER.MSG.NEXT.%s_STORE", "context canceled"},
		{"orphans are deleted", "STREAM.PURGE.%s_STORE", "deleting parts of records that were never completed"},
		{"the signals are read", "CONSUMER.MSG.NEXT.%s_SIGNALS", "context canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := nats.Options{Name: newName(), Logger: quiet, LogBytes: 64 << 20}
			bus := open(t, shared, opts)
			require.NoError(t, bus.Log().Append(about("1", said(1))))
			require.NoError(t, bus.Queue().Push(t.Context(), &nodebus.Prompt{ID: "p"}, nil))
			require.NoError(t, bus.Signals().Send(t.Context(), named("x")))
			js, err := jetstream.New(connect(t, shared))
			require.NoError(t, err)
			_, err = js.Publish(t.Context(), opts.Name+"_STORE.iq.c.X.0", nil)
			require.NoError(t, err)
			require.NoError(t, bus.Close())
			s, nc := scriptedConn(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			met := s.at(swallows, fmt.Sprintf(c.at, opts.Name))
			ended := make(chan error, 1)
			go func() {
				_, err := nats.Open(ctx, nc, &opts)
				ended <- err
			}()
			come(t, met, "the fault")
			stop()
			err = come(t, ended, "the end of Open")
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, c.err)
			require.NotContains(t, err.Error(), "events are not stored")
			require.Zero(t, waiting("nats.(*reader)", ""), "goroutines that stay")
		})
	}
}

// TestEndedLogIsNotAway: a log that has ended says so, also to a caller whose context has
// ended.
func TestEndedLogIsNotAway(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	nats.StopReading(bus, "LOG")
	require.NoError(t, bus.Log().Append(about("1", said(1))))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorIs(t, nats.Flush(ctx, bus.Log()), nats.ErrAway)
	nats.EndLog(bus, nats.ErrOtherStream)
	require.ErrorIs(t, nats.Flush(ctx, bus.Log()), nats.ErrOtherStream)
}

// TestOrphansAgeByTheStream gives a store parts with the times of another clock: an hour
// must have passed in the stream, whatever this process thinks what time it is.
func TestOrphansAgeByTheStream(t *testing.T) {
	for _, ahead := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		now := time.Now().Add(ahead)
		require.Equal(t, []string{"S.iold.c.X.0"}, nats.OldOrphans(map[string]time.Time{
			"S.iold.c.X.0": now.Add(-time.Hour), "S.iyoung.c.X.0": now.Add(time.Minute - time.Hour), "S.inew.c.X.0": now,
		}))
		require.Empty(t, nats.OldOrphans(map[string]time.Time{"S.iyoung.c.X.0": now, "S.inew.c.X.0": now.Add(time.Minute)}))
	}
}

// badLogger is a handler that panics, or ends its goroutine.
type badLogger struct {
	slog.Handler
	exits bool
}

func (badLogger) Enabled(context.Context, slog.Level) bool { return true }

func (b badLogger) Handle(context.Context, slog.Record) error {
	if b.exits {
		runtime.Goexit()
	}
	panic("a bad logger")
}

// TestErrorsOfTheConnection tells a logger what no call returns.
func TestErrorsOfTheConnection(t *testing.T) {
	for _, exits := range []bool{false, true} {
		nc := connect(t, shared)
		bus, err := nats.Open(t.Context(), nc, &nats.Options{Name: newName(), LogBytes: 64 << 20, Logger: slog.New(badLogger{exits: exits})})
		require.NoError(t, err)
		returned := make(chan struct{})
		go func() { // as the connection does
			nc.ErrorHandler()(nc, nil, errors.New("an error"))
			close(returned)
		}()
		come(t, returned, "the end of the handler")
		require.NoError(t, bus.Close())
	}

	nc, buf := connect(t, shared), &lockedBuffer{}
	bus, err := nats.Open(t.Context(), nc, &nats.Options{Name: newName(), LogBytes: 64 << 20, Logger: loggerTo(buf)})
	require.NoError(t, err)
	nc.ErrorHandler()(nc, nil, natsgo.ErrPermissionViolation)
	require.NoError(t, bus.Close())
	require.Contains(t, buf.String(), natsgo.ErrPermissionViolation.Error())

	before := slog.Default()
	slog.SetDefault(slog.New(badLogger{}))
	defer slog.SetDefault(before)
	nc.ErrorHandler()(nc, nil, errors.New("an error without a bus"))
	nc.ErrorHandler()(nc, nil, errors.New("an error of a closed bus"))

	called := 0
	nc, err = shared.Connect(natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) { called++ }))
	require.NoError(t, err)
	defer nc.Close()
	bus, err = nats.Open(t.Context(), nc, &nats.Options{Name: newName(), LogBytes: 64 << 20, Logger: loggerTo(buf)})
	require.NoError(t, err)
	nc.ErrorHandler()(nc, nil, errors.New("an error"))
	require.Equal(t, 1, called, "the handler of the program stays")
	require.NoError(t, bus.Close())
}
