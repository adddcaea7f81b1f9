package nats

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"time"

	"github.com/nats-io/nats.go"
)

// writeTime is how long a server may take nothing. A connection is made again some seconds
// later, so that a call without a deadline still has time to try again.
const writeTime = 5 * time.Second

// Connect returns a connection for [Open]. urls are the addresses of the servers of one
// cluster, separated by commas, such as "nats://10.0.0.1:4222,nats://10.0.0.2:4222"; with
// "tls://", the connection is encrypted. opts are further options of package nats.go, such as
// UserCredentials, UserInfo and RootCAs.
//
// Connect does not wait until the connection is made: the connection keeps trying, also
// after it is lost, or refused, and also if an address or a password is wrong. So give [Open] a
// context with a deadline. An error of Connect is an error of urls or opts. The connection
// buffers nothing while it is lost, because a [Bus] sends again what was not acknowledged. A
// server that takes nothing for 5 seconds is given up. The Logger of the Bus hears of errors
// that no call returns, unless opts have an ErrorHandler. Close the connection after the Bus.
func Connect(urls string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(urls, append([]nats.Option{
		nats.Name("nodebus"), nats.ErrorHandler(unheard),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.IgnoreAuthErrorAbort(), // who may connect may be changed, and changed back
		// Whoever publishes holds a lock of the connection while it writes, so that all others
		// wait for a server that takes nothing.
		nats.FlusherTimeout(writeTime), nats.ReconnectOnFlusherError(),
		nats.Timeout(2 * time.Second), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
	}, opts...)...)
}

// unheard is the error handler of a connection that has no bus yet.
func unheard(*nats.Conn, *nats.Subscription, error) {}

// hear tells a logger the errors of a connection, unless the program has a handler of its
// own. Handlers run in a goroutine of the connection, so the logger must be one of package
// late. hear returns a function that ends it.
func hear(nc *nats.Conn, logger *slog.Logger) (stop func()) {
	same := func(a, b nats.ErrHandler) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	if !same(nc.ErrorHandler(), unheard) {
		return func() {}
	}
	nc.SetErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
		level, subject := slog.LevelDebug, ""
		if errors.Is(err, nats.ErrPermissionViolation) {
			level = slog.LevelWarn // without the permission, requests have no answer
		}
		if sub != nil {
			subject = sub.Subject
		}
		logger.Log(context.Background(), level, "nats: an error of the connection", "subject", subject, "error", err)
	})
	return func() { nc.SetErrorHandler(unheard) }
}
