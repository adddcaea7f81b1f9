package ws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
)

// connect does what a browser does. It prints the first messages.
func connect(url string, messages int) {
	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close(websocket.StatusNormalClosure, "") }()
	for range messages {
		_, data, err := c.Read(ctx)
		fmt.Printf("%s %v\n", data, err)
	}
}

// Clients reach a hub at an address. The request of a client determines its client
// id.
func ExampleNew() {
	hub := nodebus.NewHub(nil)
	mux := http.NewServeMux()
	mux.Handle("GET /events", ws.New(hub, &ws.Options{
		Authorize: func(r *http.Request) (nodebus.Grant, error) {
			if r.URL.Query().Get("token") != "secret" {
				return nodebus.Grant{}, errors.New("who are you?")
			}
			return nodebus.Grant{Client: "ann", WatchAll: true}, nil
		},
		Remaining: func() int { return 3 }, // usually Engine.Remaining
	}))
	server := httptest.NewServer(mux)
	defer server.Close()
	defer hub.Close()

	connect(server.URL+"/events?token=secret", 1)
	connect(server.URL+"/events", 1)
	// Output:
	// {"type":"status","data":{"status":{"exec_info":{"queue_remaining":3}},"sid":"ann"}} <nil>
	// failed to WebSocket dial: expected handshake response status code 101 but got 403
}

// A custom handler can join a client with options that Handler does not have.
func ExampleAccept() {
	hub := nodebus.NewHub(nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := hub.Join("guest", &nodebus.SessionOptions{
			Codec: nodebus.JSONCodec{BarePreviews: true},
			Hello: []nodebus.Payload{nodebus.Custom{Type: "example.welcome", Data: "no introductions"}},
		})
		conn, err := ws.Accept(w, r, nil)
		if err != nil { // Accept has sent the error to the client
			session.Close(err)
			return
		}
		_ = conn.Serve(r.Context(), session, nil) // nil: messages of the client are ignored
	}))
	defer server.Close()
	defer hub.Close()

	connect(server.URL, 1)
	// Output:
	// {"type":"example.welcome","data":"no introductions"} <nil>
}
