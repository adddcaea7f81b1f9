package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats/internal/late"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/stored"
)

// version is the version of the streams' format. A stream with a larger number was made by
// a newer version of this package.
const version = 1

// openTime is how long opening a stream fails before the logger learns it: nothing else says
// to whoever starts the first process of a cluster what the process waits for.
const openTime = 2 * time.Second

// nameChars are the characters of a name.
const nameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// The metadata of a stream.
const (
	versionKey = "nodebus-version"
	epochKey   = "nodebus-epoch" // random; another one if the stream is made again
)

// Bus is a queue, a store, signals and a log that several processes share. Its methods, and
// the methods of its parts, are safe for concurrent use.
type Bus struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	way    *way
	opts   Options        // with defaults
	logger *slog.Logger   // may be called by any goroutine, see package late
	told   *late.Records  // log records that wait for Options.Logger
	sealer *stored.Sealer // nil without a key

	queue   flow.Queue
	store   flow.Store
	signals flow.Signals
	log     *eventLog

	life context.Context // ends with the bus; its cause is the reason
	end  context.CancelCauseFunc

	deafen  func()         // the logger does not hear of the connection any more
	closers []func() error // of the parts, in the order of opening
	closing sync.Once
	err     error // of Close
}

// Open opens a bus, makes its streams if there are none, and reads what this process needs
// to know: the events that are kept, and the headers of prompts, records and signals. If
// opts is nil, all options have their defaults.
//
// nc must be a connection of [Connect], or of package embed: a connection that gives up, or
// that buffers, would lose what is published, or publish it too late.
//
// If NATS does not answer, Open tries again until ctx ends, and then returns [ErrAway], or
// [context.Canceled] if the caller has cancelled ctx; it tells the Logger what it waits for. A
// new cluster does not answer before all of its servers run. Errors of a stream are a
// [*StreamError].
func Open(ctx context.Context, nc *nats.Conn, opts *Options) (*Bus, error) {
	if nc == nil {
		return nil, errors.New("nats: there is no connection: nc is nil; look at the error of Connect")
	}
	b := &Bus{nc: nc, opts: opts.withDefaults()}
	b.logger, b.told = late.Logger(b.opts.Logger)
	b.life, b.end = context.WithCancelCause(context.Background())
	if err := b.opts.check(); err != nil {
		return nil, err
	}
	if nc.Opts.ReconnectBufSize >= 0 || nc.Opts.MaxReconnect >= 0 {
		return nil, errors.New("nats: the connection gives up or buffers; make it with Connect, or with the options MaxReconnects(-1) and ReconnectBufSize(-1)")
	}
	var err error
	if b.sealer, err = stored.NewSealer(b.opts.SecretKey, b.opts.KeyFile); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	if b.js, err = jetstream.New(nc); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	b.way = newWay(nc, b.js)
	b.deafen = hear(nc, b.logger)
	if err := b.openParts(ctx); err != nil {
		if ctx.Err() != nil {
			err = because(nc, err)
		}
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

// openParts opens the parts of the bus. The log is the first part: the others flush it.
func (b *Bus) openParts(ctx context.Context) (err error) {
	if b.log, err = openLog(ctx, b); err != nil {
		return err
	}
	b.closers = append(b.closers, b.log.Close)
	q, err := b.openQueue(ctx)
	if err != nil {
		return err
	}
	b.queue, b.closers = q, append(b.closers, q.close)
	// Whatever ends the bus, this process must not take prompts whose events or records are lost.
	context.AfterFunc(b.life, func() { q.fail(context.Cause(b.life)) })
	records, err := openStore(ctx, b)
	if err != nil {
		return err
	}
	b.store, b.closers = records, append(b.closers, records.close)
	signals, err := openSignals(ctx, b)
	if err != nil {
		return err
	}
	b.signals, b.closers = signals, append(b.closers, signals.close)
	q.leftover = leftover{signals.newestKept, signals.dropUpTo}
	q.ended.Go(q.sweeps)
	return nil
}

// withDefaults returns the options, which may be nil, with their defaults.
func (o *Options) withDefaults() (all Options) {
	if o != nil {
		all = *o
	}
	if all.Name == "" {
		all.Name = defaultName
	}
	if all.Logger == nil {
		all.Logger = slog.Default()
	}
	return all
}

// check returns an error if an option cannot be used.
func (o *Options) check() error {
	if strings.ContainsFunc(o.Name, func(c rune) bool { return !strings.ContainsRune(nameChars, c) }) {
		return fmt.Errorf("nats: Options.Name %q: only letters, digits, - and _ can be used in the name of a stream", o.Name)
	}
	if o.Replicas < 0 || o.LogBytes < 0 {
		return errors.New("nats: Options.Replicas and Options.LogBytes must not be negative")
	}
	if o.LogBytes > 0 && o.LogBytes < logMinBytes {
		return fmt.Errorf("nats: Options.LogBytes is a number of bytes, at least %d (1 MiB), and is %d", logMinBytes, o.LogBytes)
	}
	return nil
}

// Queue returns the queue that all processes of the bus share. A prompt is stored before
// Push returns, and the number of an attempt before Take returns.
func (b *Bus) Queue() flow.Queue { return b.queue }

// Store returns the records that all processes of the bus share. A record is stored before
// Put returns.
func (b *Bus) Store() flow.Store { return b.store }

// Signals returns the signals that all processes of the bus share. Send reaches a receiver
// in any process.
func (b *Bus) Signals() flow.Signals { return b.signals }

// Log returns the log that all processes of the bus share. Hubs with this log are one bus:
// a client may come back to any of them with its cursor.
func (b *Bus) Log() nodebus.Log { return b.log }

// Done returns a channel that is closed when the bus cannot be used any more: it was closed,
// its connection was closed, or one of its streams is another one than before, see
// [ErrOtherStream]. [Bus.Err] tells which. The bus does not recover: close the hub and the
// bus, so that clients connect again, and open the bus again, or end the program. While NATS
// is only away, the bus waits for it.
func (b *Bus) Done() <-chan struct{} { return b.life.Done() }

// Err returns nil while the bus can be used, and later the reason why [Bus.Done] is closed:
// [nodebus.ErrClosed] after Close, otherwise a [*StreamError].
func (b *Bus) Err() error { return context.Cause(b.life) }

// ends returns a function that ends a part with an error, and with it the bus.
func (b *Bus) ends(part func(error)) func(error) {
	return func(err error) {
		part(err)
		b.end(err)
	}
}

// Close closes the parts of the bus. Events that wait are stored first; if NATS is away,
// Close gives up after 10 seconds and returns an error that is [ErrAway]; if a server of
// package embed has lost the others of its cluster, after one second. Close does not close
// the connection. Calls after it return [nodebus.ErrClosed].
func (b *Bus) Close() error {
	b.closing.Do(func() {
		b.end(nodebus.ErrClosed)
		var errs []error
		for _, f := range slices.Backward(b.closers) {
			errs = append(errs, f())
		}
		b.deafen()
		b.err = errors.Join(errs...)
		b.told.Wait()
	})
	return b.err
}

// flushLog waits until the events that were published before are stored, and this process
// has them. The end of a prompt must be stored before the prompt leaves the queue.
func (b *Bus) flushLog(ctx context.Context) error {
	if b.log == nil {
		return nil
	}
	return b.log.Flush(ctx)
}

// taken says in the log that a process has taken a prompt, see [eventLog.taken].
func (b *Bus) taken(promptID string, attempt int, lease uint64) {
	if b.log != nil {
		b.log.taken(promptID, attempt, lease)
	}
}

// streamName returns the name of the stream of a part. The subjects of the stream begin
// with the same name.
func (b *Bus) streamName(part string) string { return b.opts.Name + "_" + part }

// openStream opens a stream, or makes it if there is none. It sets name, replicas, version
// and epoch of cfg. Who needs the newest state of the stream must not call Info of what
// openStream returns: Info writes into it.
func (b *Bus) openStream(ctx context.Context, part string, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	cfg.Name, cfg.Replicas = b.streamName(part), max(b.opts.Replicas, 1)
	meta := map[string]string{versionKey: strconv.Itoa(version), epochKey: newEpoch()}
	maps.Copy(meta, cfg.Metadata)
	cfg.Metadata = meta
	wrong := func(reason error, detail string, err error) error {
		return &StreamError{Stream: cfg.Name, Reason: reason, Detail: detail, Err: err}
	}
	old := ""
	stream, err := asking(ctx, b.telling(cfg.Name, func(ctx context.Context) (s jetstream.Stream, err error) {
		s, err = b.js.Stream(ctx, cfg.Name)
		if v := b.nc.ConnectedServerVersion(); isOld(v) && (err == nil || !again(err)) {
			old = v
			return s, nil
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return s, err
		}
		if s, err = b.js.CreateStream(ctx, cfg); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = b.js.Stream(ctx, cfg.Name) // another process has made it
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) || isForming(err) { // not every server of a new cluster knows it yet
			err = causes(err, jetstream.ErrNoStreamResponse)
		}
		return s, err
	}))
	switch {
	case old != "":
		return nil, wrong(ErrSettings, fmt.Sprintf("the server has version %s, which is too old: it keeps what should expire; update the servers to NATS %s or later", old, oldest), nil)
	case err != nil:
		detail, reason := b.whyNot(&cfg, err)
		return nil, wrong(reason, detail, err)
	}
	has := stream.CachedInfo().Config
	v, err := strconv.Atoi(has.Metadata[versionKey])
	switch {
	case err != nil || has.Metadata[epochKey] == "":
		return nil, wrong(ErrForeign, "its metadata have no version; choose another Options.Name", nil)
	case v > version:
		return nil, wrong(ErrNewer, fmt.Sprintf("it has version %d, this program knows version %d; update this program", v, version), nil)
	case has.Replicas == 1 && b.opts.Replicas == 0 && part == "LOG" && len(b.nc.Servers()) >= 3:
		b.logger.Warn("nats: one server keeps the bus, although there are more: if its disk is lost, all is lost; set Options.Replicas to 3, or to 1 if this is meant, and change streams that exist with: nats stream edit",
			"stream", cfg.Name, "servers", serversOf(b.nc))
	case has.Replicas != cfg.Replicas && b.opts.Replicas != 0:
		b.logger.Warn("nats: the stream has another number of replicas than Options.Replicas; change it with: nats stream edit",
			"stream", cfg.Name, "replicas", has.Replicas, "wanted", cfg.Replicas)
	}
	return stream, checkSettings(&cfg, &has)
}

// telling returns f, and tells the logger if f fails for some time: nothing else says what the
// caller waits for.
func (b *Bus) telling(stream string, f func(context.Context) (jetstream.Stream, error)) func(context.Context) (jetstream.Stream, error) {
	told := troubles{after: openTime}
	f = ifConnected(b.nc, f)
	return func(ctx context.Context) (jetstream.Stream, error) {
		s, err := f(ctx)
		if err != nil && again(err) && told.tell() {
			b.logger.Warn("nats: opening the bus waits for NATS; more than half of the servers of a cluster must run, and the first time all of them",
				"stream", stream, "servers", serversOf(b.nc), "error", because(b.nc, err))
		}
		return s, err
	}
}

// epochOf returns the epoch of a stream.
func epochOf(stream jetstream.Stream) string { return stream.CachedInfo().Config.Metadata[epochKey] }
