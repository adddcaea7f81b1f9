package client

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
)

// Options are the options of [Dial]. A nil *Options, and each zero field, means the
// default.
type Options struct {
	// ID is the client's id. Authorize of the server may replace it; read [Client.ID].
	// Default: the server chooses an id.
	ID string
	// Since is the cursor of the last event that an earlier client handled, see
	// [Client.Cursor]. The server then sends the events after it, or a [nodebus.Gap] if
	// some are no longer kept. Default: events from now on, and all kept events of the
	// client's running prompts.
	Since nodebus.Cursor
	// Watch lists ids of prompts of other clients that this client also follows, at most
	// 256: the client names them in the query of each connection, and servers accept no
	// more there. The server leaves out without a word what it does not allow; ask with
	// [Client.Watch] to learn it. Default: none.
	Watch []string
	// SSE reads Server-Sent Events at the address, see package sse, instead of a WebSocket.
	// It is for networks that let no WebSocket through. Default: a WebSocket.
	SSE bool
	// BaseURL is the URL below which the server has its HTTP routes, for example
	// "https://example.com/comfy/". [Client.Submit] and the other methods that make HTTP
	// requests use it. Its query is sent with each request. Default: the address given to
	// [Dial] without the last element of its path, as ComfyUI and package comfy serve both:
	// for ws://127.0.0.1:8188/ws, the routes are below http://127.0.0.1:8188/.
	BaseURL string
	// Header is sent with each connection and each request. Default: no further headers.
	Header http.Header
	// HTTPClient connects and sends all requests. Its Timeout does not limit an open
	// connection. When the server has become silent, the client closes its idle connections.
	// A GET without an answer after 5 s is sent once more over a new connection. A POST is
	// not, because the server may have received it: it fails after 1 min, or when its context
	// ends. Default: [http.DefaultClient].
	HTTPClient *http.Client
	// Retry is the time to wait before connecting again after the connection broke, or
	// after the server has closed it, for example because the client was too slow. It
	// doubles with each attempt until an event comes after the greeting of the server, up to
	// 32 times Retry. Default: 300 ms. With a
	// negative value, a broken connection ends all loops with an error; the next loop
	// connects once.
	Retry time.Duration
	// PingInterval is how long the server may be silent while the client reads. Then the
	// client sends a ping, and gives up the connection if no answer comes within this
	// time, at most 30 s, again; so it notices a server that is gone without a word. With
	// SSE, the server sends a comment every 25 s, see PingInterval of package sse, and the
	// client gives up the connection after three intervals, but not before 30 s: an interval
	// below 10 s has the same effect as 10 s. Default: 25 s. With a negative value, the client may wait
	// for ever for a server that is gone.
	PingInterval time.Duration
	// ReadLimit is the maximum size of a message from the server, in bytes. A larger
	// message breaks the connection. Default: 256 MiB.
	ReadLimit int64
	// Logger receives messages that cannot be decoded, broken connections and
	// panics of listeners. Default: nothing is logged.
	Logger *slog.Logger
}

// unlimited returns the HTTP client without its Timeout, which would end a stream.
func (o *Options) unlimited() *http.Client {
	web := *o.web()
	web.Timeout = 0
	return &web
}

func (o *Options) web() *http.Client {
	if o.HTTPClient != nil {
		return o.HTTPClient
	}
	return http.DefaultClient
}

// forgetIdle closes the connections that wait for requests, because they may be dead: a
// request over them would wait for long. The transport may be code of others.
func (o *Options) forgetIdle() {
	err := nodebus.Protect(func() error {
		o.web().CloseIdleConnections()
		return nil
	})
	if err != nil {
		o.Logger.Error("closing idle connections failed", "error", err)
	}
}
