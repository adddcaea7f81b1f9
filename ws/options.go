package ws

import (
	"net"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/origin"
)

// Options are the options of a [Handler] and of [Accept]. A nil *Options, and each
// zero field, means the default.
type Options struct {
	// Authorize returns the rights of a request, or an error to refuse it. The
	// client receives the text of the error with status 403, or with status 401 if the
	// error wraps [nodebus.ErrUnauthenticated]. r contains cookies, headers and the
	// query; a browser cannot set headers for a WebSocket. The client follows the
	// prompts in Grant.Watch, and the prompts that it names with ?watch= and the grant
	// allows; the others are left out without a word. A client learns whether it may
	// watch a prompt if it sends nodebus.watch. Default: a client may use any id that
	// it knows, and may watch every prompt that it names.
	Authorize func(r *http.Request) (nodebus.Grant, error)
	// Hello returns the first messages for a client. Default: a Status with the
	// client's id and the result of Remaining.
	Hello func(client string) []nodebus.Payload
	// Remaining returns the number of queued or running prompts, like
	// Engine.Remaining. Default: 0 is reported.
	Remaining func() int
	// Receive handles each message from a client, except nodebus.watch and
	// nodebus.unwatch, which are for the hub. One goroutine per client calls
	// it. While it runs, no further message of this client is read. If it panics,
	// only this connection ends. Default: messages are ignored.
	Receive func(s *nodebus.Session, data []byte, binary bool)
	// Origins lists hosts or origins of pages on other hosts that may connect.
	// Hosts lists the host names of the server. * stands for any part of a name.
	// Default: only pages of the same host may connect. At a public address, every host
	// name is accepted. At any other address, such as a loopback or a private address, a
	// request must name an IP address, localhost, or the machine; this stops DNS rebinding.
	// A list of Hosts replaces these names. "null" and "file://" in Origins allow pages
	// without a host; no pattern matches them. Every page can put content into a frame
	// whose origin is null, so "null" lets every page act for the user who opens it.
	Origins, Hosts []string
	// PingInterval is the time between two pings to a client. If a client sends
	// nothing for two and a half intervals, not even a pong, the server asks its
	// system whether the client's system has acknowledged the pings. If not, the
	// client is lost and is disconnected. If it has, the client is only silent: some
	// programs answer no pings while they are busy. Where the system cannot say
	// (other systems than Linux, connections that are not TCP), a silent client is
	// disconnected. Default: 25 s. A negative value disables pings; then lost clients
	// may stay unnoticed.
	PingInterval time.Duration
	// MaxSilence is how long a silent client may stay; it is checked twice in each ping
	// interval. It must not be too long: a proxy acknowledges bytes although the client
	// behind it is lost. Default: 15 minutes.
	MaxSilence time.Duration
	// StrictPings disconnects every client that sends nothing for two and a half
	// ping intervals. Default: false. With true, programs that do not read for a
	// minute lose their connection.
	StrictPings bool
	// WriteTimeout is how long a client may take no byte although bytes wait for it.
	// It is then disconnected with an error that wraps [nodebus.ErrSlow]. A client
	// that takes bytes stays, however slow its line is. Default: 10 s.
	WriteTimeout time.Duration
	// ReadTimeout is how long a client may take for the next 16 KiB of a message that it has
	// begun, or for the rest of the message. Then the server ends the connection with close
	// code 1008: otherwise a client could hold the memory of unfinished messages for
	// ever. Between messages, a client may be silent. Default: 1 minute.
	ReadTimeout time.Duration
	// ReadLimit is the maximum size of a message from a client, in bytes. A larger
	// message ends the connection. Default: 4 MiB.
	ReadLimit int64
	// MaxPerClient is the maximum number of sockets with the same client id at the same
	// time. The answer to one more has status 429. [Accept] does not count. A front end
	// opens a socket for each tab, and some programs open a socket for each prompt and close
	// none. All users to whom Authorize gives the same id share the bound. Default: 1000.
	MaxPerClient int
	// MaxConnections is the maximum number of sockets of all clients at the same time. The
	// answer to one more has status 503. [Accept] does not count. Default: 10 000.
	MaxConnections int

	sys system
}

// system is what the system says about a connection. Tests replace it.
type system struct {
	queued       func(net.Conn) (n int, ok bool)
	acknowledged func(net.Conn) (unacked bool, since time.Duration, ok bool)
}

func (o *Options) withDefaults() *Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.PingInterval == 0 {
		opts.PingInterval = 25 * time.Second
	}
	if opts.MaxSilence <= 0 {
		opts.MaxSilence = 15 * time.Minute
	}
	if opts.sys.queued == nil {
		opts.sys = system{queued, acknowledged}
	}
	if opts.WriteTimeout <= 0 {
		opts.WriteTimeout = 10 * time.Second
	}
	if opts.ReadTimeout <= 0 {
		opts.ReadTimeout = time.Minute
	}
	if opts.ReadLimit <= 0 {
		opts.ReadLimit = 4 << 20
	}
	return &opts
}

func (o *Options) policy() *origin.Policy {
	return &origin.Policy{Origins: o.Origins, Hosts: o.Hosts}
}
