package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
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

// A server streams the progress of one prompt, and nothing else: it joins the session
// itself, and puts a transport of its own before the stream.
func ExampleHandler_Serve() {
	hub := nodebus.NewHub(nil)
	streams := sse.New(hub, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("/progress/{id}", func(w http.ResponseWriter, r *http.Request) { // check rights here
		s := hub.Join("", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}, Watch: []string{r.PathValue("id")}})
		_ = streams.Serve(w, r, s, func(stream nodebus.Transport) nodebus.Transport { return onlyProgress{stream} })
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer hub.Close()
	for _, p := range []nodebus.Payload{nodebus.ExecutionStart{PromptID: "p"}, nodebus.Progress{Value: 3, Max: 20, PromptID: "p", UniqueID: "7"}} {
		if err := hub.Publish(nodebus.Event{PromptID: "p", Payload: p}); err != nil {
			fmt.Println(err)
		}
	}

	res, err := http.Get(server.URL + "/progress/p")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			message, _, _ := strings.Cut(data, `,"cursor"`)
			fmt.Println(message)
			break
		}
	}
	// Output:
	// {"type":"progress","data":{"value":3,"max":20,"prompt_id":"p","node":"7"}
}

// onlyProgress leaves out all other events.
type onlyProgress struct{ nodebus.Transport }

func (t onlyProgress) Write(ctx context.Context, frames []nodebus.Frame) error {
	return t.Transport.Write(ctx, slices.DeleteFunc(slices.Clone(frames), func(f nodebus.Frame) bool { return f.Type != "progress" }))
}
