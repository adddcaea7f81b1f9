package nats

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect returns a connection for [Open]. urls are the addresses of the servers of one
// cluster, separated by commas, such as "nats://10.0.0.1:4222,nats://10.0.0.2:4222"; with
// "tls://", the connection is encrypted. opts are further options of package nats.go, such as
// UserCredentials, UserInfo and RootCAs.
//
// Connect does not wait until the connection is made: the connection keeps trying, also
// after it is lost, or refused, and also if an address or a password is wrong. So give [Open] a
// context with a deadline. An error of Connect is an error of urls or opts. The connection
// buffers nothing while it is lost, because a [Bus] sends again what was not acknowledged.
// Close it after the Bus. Several buses may use one connection.
func Connect(urls string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(urls, append([]nats.Option{
		nats.Name("nodebus"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			slog.Debug("nats: an error of the connection", "error", err)
		}),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.IgnoreAuthErrorAbort(), // who may connect may be changed, and changed back
		nats.Timeout(2 * time.Second), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
	}, opts...)...)
}
