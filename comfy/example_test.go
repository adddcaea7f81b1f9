package comfy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
)

// Greet is a node of the program.
type Greet struct {
	Name string `default:"world"`
}

// Run shows a greeting.
func (n Greet) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text("hello, " + n.Name), nil
}

// This example starts a server and then does what any ComfyUI client does: it
// connects, submits a workflow in the API format, and reads messages until an
// executing message has no node.
func ExampleNew() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Greet{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Parallel: 1}) // as ComfyUI
	server := httptest.NewServer(comfy.New(engine, nil))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	socket, _, err := websocket.Dial(ctx, server.URL+"/ws?clientId=me", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	workflow := `{"1": {"class_type": "Greet", "inputs": {"name": "you"}}}`
	res, err := http.Post(server.URL+"/prompt", "application/json", strings.NewReader(`{"client_id": "me", "prompt": `+workflow+`}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("submitted:", res.StatusCode)
	_ = res.Body.Close()

	for over := false; !over; {
		var m struct {
			Type string
			Data struct {
				Node   *string
				Output map[string][]string
			}
		}
		_, data, err := socket.Read(ctx)
		if err != nil || json.Unmarshal(data, &m) != nil {
			break
		}
		switch m.Type {
		case "executing":
			over = m.Data.Node == nil
		case "executed":
			fmt.Println("node", *m.Data.Node, "shows", m.Data.Output["text"])
		case "execution_success":
			fmt.Println("all done")
		}
	}
	_ = socket.Close(websocket.StatusNormalClosure, "")
	cancel()
	running.Wait()
	_ = hub.Close()
	server.Close()
	// Output:
	// submitted: 200
	// node 1 shows [hello, you]
	// all done
}

// A script submits a workflow and waits for the end, in one request.
func ExampleServer_runs() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Greet{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	server := httptest.NewServer(comfy.New(engine, nil))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	workflow := `{"1": {"class_type": "Greet", "inputs": {"name": "you"}}}`
	res, err := http.Post(server.URL+"/nodebus/runs", "application/json", strings.NewReader(`{"prompt_id": "p", "prompt": `+workflow+`}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	var run fold.Run
	err = json.NewDecoder(res.Body).Decode(&run)
	_ = res.Body.Close()
	fmt.Println(run.State, run.Nodes["1"].Output, err)
	fmt.Println(res.Header.Get("Location"))

	cancel()
	running.Wait()
	_ = hub.Close()
	server.Close()
	// Output:
	// success map[text:[hello, you]] <nil>
	// runs/p
}
