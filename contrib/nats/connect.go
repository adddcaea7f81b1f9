package nats

import (
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
// server that takes nothing for 5 seconds is given up. The Loggers of all buses on the
// connection hear of errors that no call returns, and, some seconds later, that it is lost. Do
// not give an ErrorHandler or a ReconnectErrHandler, unless errors need not have the reasons
// that these handlers hear. Close the connection after the Bus.
func Connect(urls string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(urls, append([]nats.Option{
		nats.Name("nodebus"), nats.ErrorHandler(heard), nats.ReconnectErrHandler(tried),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.IgnoreAuthErrorAbort(), // who may connect may be changed, and changed back
		// Whoever publishes holds a lock of the connection while it writes, so that all others
		// wait for a server that takes nothing.
		nats.FlusherTimeout(writeTime), nats.ReconnectOnFlusherError(),
		nats.Timeout(2 * time.Second), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
	}, opts...)...)
}
