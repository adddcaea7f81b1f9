package cookbook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
)

func Example_approveHTTP() {
	registry, hub := classes(nil), nodebus.NewHub(nil)
	flow.Register(registry, Approve{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Parallel: 1})
	server := httptest.NewServer(comfy.New(engine, nil)) // in a program: http.ListenAndServe
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	for _, request := range []struct{ path, body string }{
		{"/prompt", `{"prompt_id": "p", "prompt": {
			"ask": {"class_type": "Approve", "inputs": {"text": "News"}},
			"show": {"class_type": "Show", "inputs": {"text": ["ask", 0]}}}}`},
		{"/nodebus/answer", `{"prompt_id": "p", "node_id": "ask", "name": "publish", "value": true}`},
	} {
		answer, err := http.Post(server.URL+request.path, "application/json", strings.NewReader(request.body))
		if err != nil {
			panic(err)
		}
		fmt.Println(request.path, answer.StatusCode)
		_ = answer.Body.Close()
	}
	outcome, err := engine.Wait(ctx, "p")
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.Output("show")["text"], outcome.Err())
	stop()
	running.Wait()
	_ = hub.Close()
	server.Close()
	// Output:
	// /prompt 200
	// /nodebus/answer 200
	// [News] <nil>
}
