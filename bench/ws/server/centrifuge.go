//go:build linux

package server

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// centrifugePeer uses centrifugal/centrifuge with its JSON protocol and its defaults, except
// for two: the queue of a client is as large as its backlog gets, and pings are rare, because
// the clients of wsload answer none. The server subscribes each client when it connects.
type centrifugePeer struct {
	node *centrifuge.Node
	own  bool // each client has a channel of its own
}

const (
	everyone = "everyone"
	// centrifugeConnect is the command that a client sends first.
	centrifugeConnect = `{"id":1,"connect":{}}`
)

func newCentrifuge() *centrifugePeer {
	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: 1 << 30})
	if err != nil {
		panic(err)
	}
	p := &centrifugePeer{node: node}
	node.OnConnecting(func(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		user, channel := "user", everyone
		if c, ok := centrifuge.GetCredentials(ctx); ok {
			user = c.UserID
		}
		if p.own {
			channel = user
		}
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{UserID: user},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	node.OnConnect(func(*centrifuge.Client) {})
	if err := node.Run(); err != nil {
		panic(err)
	}
	return p
}

var rarePings = centrifuge.PingPongConfig{PingInterval: time.Hour, PongTimeout: time.Minute}

func (p *centrifugePeer) Serve(ln net.Listener) error {
	return http.Serve(ln, named(centrifuge.NewWebsocketHandler(p.node, centrifuge.WebsocketConfig{PingPongConfig: rarePings})))
}

// named makes the parameter clientId of a request the user of its client.
func named(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := &centrifuge.Credentials{UserID: r.URL.Query().Get("clientId")}
		h.ServeHTTP(w, r.WithContext(centrifuge.SetCredentials(r.Context(), user)))
	})
}

func (p *centrifugePeer) Broadcast(seq int64) { p.publish(everyone, seq) }

func (p *centrifugePeer) publish(channel string, seq int64) {
	if _, err := p.node.Publish(channel, message(seq)); err != nil {
		panic(err)
	}
}

func (p *centrifugePeer) Clients() int { return p.node.Hub().NumSubscriptions() }

// Wire: the reply to the connect command is the greeting.
func (p *centrifugePeer) Wire() Wire {
	return Wire{Key: `"ts":`, Greetings: 1, Path: "/ws?clientId=c%d", First: centrifugeConnect, Lines: true}
}

// centrifugeEach addresses each event to the channel of one client.
type centrifugeEach struct {
	*centrifugePeer
	channels []string // by the number of the client
}

func newCentrifugeEach() *centrifugeEach {
	p := &centrifugeEach{centrifugePeer: newCentrifuge()}
	p.own = true
	return p
}

func (p *centrifugeEach) Send(n int, seq int64) {
	for len(p.channels) <= n {
		p.channels = append(p.channels, "c"+strconv.Itoa(len(p.channels)))
	}
	p.publish(p.channels[n], seq)
}

func (p *centrifugeEach) Wire() Wire {
	w := p.centrifugePeer.Wire()
	w.Each = true
	return w
}

// centrifugeSSE sends text/event-stream. The connect command is in the query.
type centrifugeSSE struct{ *centrifugePeer }

func (p centrifugeSSE) Serve(ln net.Listener) error {
	return http.Serve(ln, named(centrifuge.NewSSEHandler(p.node, centrifuge.SSEConfig{PingPongConfig: rarePings})))
}

func (p centrifugeSSE) Wire() Wire {
	w := p.centrifugePeer.Wire()
	w.First, w.Stream = "", true
	w.Path += "&cf_connect=" + strings.ReplaceAll(url.QueryEscape(centrifugeConnect), "%", "%%")
	return w
}
