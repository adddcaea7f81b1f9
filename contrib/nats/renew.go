package nats

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats/internal/late"
)

// Renew begins a new epoch of the log. Call it once after the streams were restored from a
// backup, or after a machine has lost power whose servers do not synchronize their files:
// clients may have received events that the log does not have any more, and the log gives
// their IDs again. After Renew, such a client receives a [nodebus.Gap] and all kept events.
// Without it, such a client misses events and does not know.
//
// No process may have the bus open meanwhile. Of opts, only Name and Logger count; nil is the default.
// While NATS does not answer, Renew tries again until ctx ends, and then returns [ErrAway]. If
// the log was never opened, Renew returns an error of NATS; if the stream is not of this
// package, [ErrForeign]; if a newer nats-server has written it, [ErrNewer].
func Renew(ctx context.Context, nc *nats.Conn, opts *Options) error {
	b := &Bus{nc: nc, opts: opts.withDefaults()}
	if err := b.opts.check(); err != nil {
		return err
	}
	var told *late.Records
	b.logger, told = late.Logger(b.opts.Logger)
	defer told.Wait()
	defer hear(nc, b.logger)()
	var err error
	if b.js, err = jetstream.New(nc); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	name := b.streamName("LOG")
	_, err = asking(ctx, b.telling(name, func(ctx context.Context) (jetstream.Stream, error) {
		s, err := b.js.Stream(ctx, name)
		if err != nil {
			return nil, err
		}
		cfg := s.CachedInfo().Config
		cfg.Metadata = maps.Clone(cfg.Metadata)
		if cfg.Metadata[epochKey] == "" {
			return nil, &StreamError{Stream: name, Reason: ErrForeign, Detail: "its metadata have no epoch; check Options.Name"}
		}
		cfg.Metadata[epochKey] = newEpoch()
		return b.js.UpdateStream(ctx, cfg)
	}))
	if err != nil {
		if ctx.Err() != nil {
			err = because(nc, err)
		}
		if detail, reason := b.whyNot(&jetstream.StreamConfig{}, err); reason != nil {
			err = &StreamError{Stream: name, Reason: reason, Detail: detail, Err: err}
		}
		return fmt.Errorf("nats: beginning a new epoch of %s: %w", name, err)
	}
	return nil
}

// newEpoch returns the name of a new life of a stream.
func newEpoch() string { return strings.ToLower(rand.Text()[:10]) }
