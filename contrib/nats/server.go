package nats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// lonelyTime is how long Close waits for servers that are gone.
const lonelyTime = time.Second

// lastFlush is the Flush of Close. It does not wait for a leader if the server in this
// process has lost the others: they may end, too.
func (l *eventLog) lastFlush() (err error) {
	for range barrierTime / lonelyTime {
		ctx, stop := context.WithTimeout(context.Background(), lonelyTime)
		err = l.Flush(ctx)
		stop()
		if !errors.Is(err, ErrAway) || isLonely(l.bus.nc) {
			return err
		}
	}
	return err
}

// isLonely reports whether the server in this process is not connected to so many others
// that their cluster can store something. It is false if there is no server in this process.
func isLonely(nc *nats.Conn) bool {
	s, here := nc.Opts.InProcessServer.(interface{ HasMajority() bool })
	return here && !s.HasMajority()
}
