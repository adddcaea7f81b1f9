// Package embed runs a NATS server with JetStream in this process, alone or as a member of
// a cluster, for package contrib/nats. It is a package of its own, because a server makes a
// program 10 MB larger.
//
// # The end of a process
//
// Close the bus, and then the server. If all processes of a cluster end at the same time, a
// server that others need for their majority stays until they close, too, so that each
// process stores what it has. The bounds are 10 seconds for the bus, or one second if its
// server has lost the others, and 10 seconds for the server.
//
// # A full or damaged disk
//
// A server that cannot write a file stores nothing more until it is started again, also if the
// disk has room again: watch [Server.Done]. What was acknowledged is kept. Before that, the
// server refuses what would take more than three quarters of the room that the disk had at the
// start; calls then wait, and return nats.ErrAway with the reason. Tune can set another limit,
// JetStreamMaxStore.
//
// A server leaves out what it cannot read of a damaged file, and tells the logger. With three
// replicas, the other servers have it.
package embed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/internal/late"
)

// ErrInUse is the error of [Start] when another process uses the directory.
var ErrInUse = errors.New("another process uses the directory")

// ErrWasAlone is the error of [Start] when a server of a cluster is given the directory of a
// server that was alone: the cluster would delete its streams, and with them all prompts and
// records. Make a backup of the streams, and restore it in the cluster.
var ErrWasAlone = errors.New("the directory has the streams of a server that was alone, and a cluster would delete them")

const (
	lockTimeout = time.Second           // the default of Options.LockTimeout
	lockPause   = 10 * time.Millisecond // between two attempts to lock
)

// Options configures [Start].
type Options struct {
	// Dir is the directory of the streams; Start makes it. One process at a time uses it.
	// Keep it on a local disk: on a network file system, locks and synchronization may do
	// nothing. A server of a cluster refuses the directory of a server that was alone, see
	// [ErrWasAlone]. It must be given.
	Dir string
	// Name is the name of this server. In a cluster, it must be given and unique, and must stay
	// the same when the process starts again: the servers know each other's votes by their
	// names. A name has no spaces. Default for a server that is alone: "nodebus".
	Name string
	// Listen is the address at which the other servers of a cluster reach this server, such
	// as "10.0.0.1:6222". Everybody who reaches it can join the cluster, and read and change
	// everything, so keep it inside your network, or require certificates with Tune. Default:
	// none; the server is alone and opens no port.
	Listen string
	// Routes are the addresses of all servers of the cluster, such as "10.0.0.2:6222". The
	// own address may be among them; empty ones are left out. The first time, all servers must run; later, more than
	// half of them: three servers go on without one, five without two. At least two must be
	// others than this server. A server that has joined once counts for ever, also if it is
	// not among Routes any more; the Logger hears of that. Default: none.
	Routes []string
	// ClusterName names the cluster; servers of other clusters are refused. Default
	// "nodebus".
	ClusterName string
	// Unsynced makes the server write to the disk each two minutes, and not before it
	// acknowledges. It is faster. If the machine loses power, two minutes are lost that
	// clients may have seen, and their cursors are given to other events: a client that
	// comes back then misses events and hears of no gap. So call [nats.Renew] before the bus
	// is opened again. A process that is killed loses nothing. Default: false.
	Unsynced bool
	// LockTimeout is the time that Start waits for another process to end that has the
	// directory: after a deployment the old process may need some seconds. Start then returns
	// [ErrInUse]. Default 1 s; less than 0: Start does not wait.
	LockTimeout time.Duration
	// Tune changes the options of the server before it starts, for example Cluster.TLSConfig,
	// or Host, Port, Username and Password to let other programs connect; then also set
	// DontListen to false. Default: none.
	Tune func(*server.Options)
	// Logger receives what the server reports. Default: [slog.Default].
	Logger *slog.Logger
}

// Server is a NATS server in this process. Its methods are safe for concurrent use.
type Server struct {
	s       *server.Server
	opts    *server.Options
	lock    *os.File
	conn    *natsgo.Conn
	logger  *slog.Logger  // may be called by any goroutine, see package late
	told    *late.Records // log records that wait for Options.Logger; nil before start
	life    context.Context
	end     context.CancelCauseFunc
	leaving leavers
	joined  bool // others may need this server
	ended   sync.WaitGroup
	closing sync.Once
	err     error
}

// Start starts a server, connects to it without a port, and waits until its JetStream
// answers: in a cluster, until more than half of the servers run and have a leader, and the
// first time all of them. If ctx ends first, Start stops the server and returns an error. If the
// server has met no other until then, NATS leaves one file and two goroutines behind.
// If another process has the directory, Start waits for [Options].LockTimeout, and then
// returns [ErrInUse].
func Start(ctx context.Context, opts *Options) (*Server, error) {
	if opts == nil || opts.Dir == "" {
		return nil, errors.New("embed: Options.Dir is empty; name the directory of the streams")
	}
	o, err := opts.server()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(ctx, opts.Dir, cmp.Or(opts.LockTimeout, lockTimeout))
	if err != nil {
		return nil, err
	}
	if err := checkDir(o); err != nil {
		_ = lock.Close()
		return nil, err
	}
	s := &Server{opts: o, lock: lock}
	s.life, s.end = context.WithCancelCause(context.Background())
	if err := s.start(ctx, opts.Logger); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("embed: starting the server %s in %s: %w", o.ServerName, opts.Dir, err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, logger *slog.Logger) (err error) {
	if s.s, err = server.NewServer(s.opts); err != nil {
		return err
	}
	if logger == nil {
		logger = slog.Default()
	}
	// The logger is foreign code, and the server has no protection against it.
	s.logger, s.told = late.Logger(logger.With("server", s.opts.ServerName))
	told := newReports(s.logger, s.cannotWrite)
	s.s.SetLoggerV2(told, false, false, false)
	s.s.Start()
	s.ended.Go(s.watchPeers)
	for ready := false; !ready; {
		ready = s.s.ReadyForConnections(100 * time.Millisecond)
		select {
		case err := <-told.fatal:
			return err
		default:
		}
		if !ready && ctx.Err() != nil {
			return overdue(ctx, "it accepts no connections; see the log")
		}
	}
	if s.conn, err = s.Connect(); err != nil {
		return err
	}
	js, err := jetstream.New(s.conn)
	for err == nil {
		once, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		_, answer := js.AccountInfo(once)
		stop()
		if answer == nil {
			s.joined = true
			return s.hear()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			err = overdue(ctx, fmt.Sprintf("JetStream does not answer (%v); more than half of the servers of a cluster must run, and all of them the first time", answer))
		}
	}
	return err
}

// overdue returns the error of a start whose context has ended. If the program ends, nobody
// needs to know what the server was waiting for.
func overdue(ctx context.Context, waits string) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	} else {
		err = cause
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w", waits, err)
}

// server returns the options of the server.
func (opts *Options) server() (*server.Options, error) {
	o := &server.Options{
		ServerName: orNodebus(opts.Name), DontListen: true, NoSigs: true, JetStream: true, StoreDir: opts.Dir,
		SyncAlways: !opts.Unsynced, MaxPayload: 8 << 20,
		ReconnectErrorReports: 60, // a server that is away would fill the log: each second, several connections fail
	}
	if err := opts.join(o); err != nil {
		return nil, err
	}
	if strings.ContainsAny(o.ServerName, " \t\r\n") {
		return nil, fmt.Errorf("embed: Options.Name must have no spaces, and is %q", o.ServerName)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embed: Options.Dir: %w", err)
	}
	o.JetStreamMaxStore = storeLimit(opts.Dir)
	if opts.Tune != nil {
		opts.Tune(o)
	}
	return o, opts.checkRoutes(o)
}

// lockDir locks a directory. A NATS server does not: two servers would destroy its files.
func lockDir(ctx context.Context, dir string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "nodebus.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embed: Options.Dir: %w", err)
	}
	given := ctx
	ctx, stop := context.WithTimeout(ctx, wait)
	defer stop()
	for {
		if err = lockFile(f); err == nil {
			return f, nil
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			_ = f.Close()
			if err := given.Err(); errors.Is(err, context.Canceled) {
				return nil, fmt.Errorf("embed: locking %s: %w", dir, overdue(given, ""))
			}
			return nil, fmt.Errorf("embed: %s: %w; stop the other process, or choose another directory: %w", dir, ErrInUse, err)
		}
	}
}

// Conn returns a connection to the server, for [nats.Open]. It is always the same one. Close
// of the server closes it; do not close it before.
func (s *Server) Conn() *natsgo.Conn { return s.conn }

// InProcessConn makes a bare connection to the server, for the option InProcessServer of
// package nats.go.
func (s *Server) InProcessConn() (net.Conn, error) { return s.s.InProcessConn() }

// Connect makes another connection to the server, without a port. Close it before the
// server.
func (s *Server) Connect(opts ...natsgo.Option) (*natsgo.Conn, error) {
	return nats.Connect("", append([]natsgo.Option{
		natsgo.InProcessServer(s), natsgo.UserInfo(s.opts.Username, s.opts.Password),
	}, opts...)...)
}

// Close stops the server, and returns when its files are closed. The other servers of a
// cluster choose new leaders at once. Before that, for at most 10 seconds, Close waits until
// the server has made its part of new streams: NATS leaves files open if it stops while it
// makes a stream. And if fewer than a majority of the servers would be left, Close waits until
// these close, too, or others are back: they may still have something to store. Close the bus
// first.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.end(nodebus.ErrClosed)
		if s.joined {
			s.leave()
		}
		if s.conn != nil {
			s.conn.Close()
		}
		if s.s != nil {
			s.s.Shutdown()
			s.s.WaitForShutdown()
		}
		s.ended.Wait()
		s.err = s.lock.Close()
		if s.told != nil {
			s.told.Wait()
		}
	})
	return s.err
}
