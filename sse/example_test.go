package sse_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
)

// Clients reach a hub at an address. A program reads the stream line by line.
func ExampleNew() {
	hub := nodebus.NewHub(nil)
	mux := http.NewServeMux()
	mux.Handle("/events", sse.New(hub, &sse.Options{
		Authorize: func(r *http.Request) (nodebus.Grant, error) {
			if r.URL.Query().Get("token") != "secret" {
				return nodebus.Grant{}, nodebus.ErrUnauthenticated
			}
			return nodebus.Grant{Client: "ann"}, nil
		},
		Remaining: func() int { return 3 }, // usually Engine.Remaining
	}))
	server := httptest.NewServer(mux)
	defer server.Close()
	defer hub.Close()

	res, err := http.Get(server.URL + "/events?token=secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.Status, res.Header.Get("Content-Type"))
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			message, _, _ := strings.Cut(data, `,"cursor"`) // the cursor differs in each run
			fmt.Println(message)
			break
		}
	}
	// Output:
	// 200 OK text/event-stream; charset=utf-8
	// {"type":"status","data":{"status":{"exec_info":{"queue_remaining":3}},"sid":"ann"}
}
