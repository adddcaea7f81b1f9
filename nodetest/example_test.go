package nodetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/nodetest"
)

// Found is an event that Search sends.
type Found struct {
	Node string `json:"node"`
	At   int    `json:"at"`
}

func (Found) EventType() string { return "example.found" }

// Search is the node under test.
type Search struct {
	Text string
	For  rune
}

func (n Search) Run(ctx *nodebus.Context) (hits int, err error) {
	for at, r := range n.Text {
		ctx.Progress(float64(at), float64(len(n.Text)))
		if r != n.For {
			continue
		}
		hits++
		if err := ctx.SendSync(Found{ctx.UniqueID(), at}); err != nil {
			return hits, err
		}
	}
	return hits, nil
}

// A test creates the node, runs it with a context of the recorder, and checks the
// outputs and the sent events.
func Example() {
	t := new(testing.T) // in a real test: the argument of the test function

	rec := nodetest.New(t, &nodetest.Options{UniqueID: "7"})
	hits, err := Search{Text: "wheelbarrow", For: 'r'}.Run(rec.Context())
	fmt.Println(hits, err)
	fmt.Println(nodetest.Sent[Found](rec))
	fmt.Println(len(nodetest.Sent[nodebus.Progress](rec)), "steps")
	fmt.Println(len(rec.Events()), "events in all")
	// Output:
	// 2 <nil>
	// [{7 7} {7 8}]
	// 11 steps
	// 13 events in all
}

// Sent returns the payloads of one type. They are Go values, not JSON.
func ExampleSent() {
	t := new(testing.T)

	rec := nodetest.New(t, nil)
	_, _ = Search{Text: "abc", For: 'b'}.Run(rec.Context())
	for _, p := range nodetest.Sent[nodebus.Progress](rec) {
		fmt.Println(p.Value, "of", p.Max)
	}
	// Output:
	// 0 of 3
	// 1 of 3
	// 2 of 3
}

// Download is a node that needs a secret.
type Download struct{ URL string }

func (n Download) Run(ctx *nodebus.Context) (string, error) {
	if key := ctx.Hidden("API_KEY_COMFY_ORG"); key != "" {
		return fmt.Sprintf("%s with key %s, attempt %d", n.URL, key, ctx.Attempt()), nil
	}
	return "", errors.New("no key")
}

// Options say what the node finds in its context.
func ExampleOptions() {
	t := new(testing.T)

	rec := nodetest.New(t, &nodetest.Options{Attempt: 2, Secrets: map[string]string{"API_KEY_COMFY_ORG": "k"}})
	fmt.Println(Download{URL: "x.png"}.Run(rec.Context()))
	fmt.Println(Download{URL: "x.png"}.Run(nodetest.New(t, nil).Context()))
	// Output:
	// x.png with key k, attempt 2 <nil>
	//  no key
}

// With tests that a node stops when its context ends.
func ExampleRecorder_With() {
	t := new(testing.T)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Poll{}.Run(nodetest.New(t, nil).With(ctx))
	fmt.Println(err)
	// Output: context canceled
}

// Poll is a node that waits until it is stopped.
type Poll struct{}

func (Poll) Run(ctx *nodebus.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// Both is a node that makes two other nodes and adds their results.
type Both struct{ Text string }

func (n Both) Run(ctx *nodebus.Context) (int, error) {
	g := ctx.NewGraph()
	a, err := nodebus.Eval[int](ctx, g, g.Add("Search", nodebus.Inputs{"text": n.Text, "for": 'a'}))
	if err != nil {
		return 0, err
	}
	b, err := nodebus.Eval[int](ctx, g, g.Add("Search", nodebus.Inputs{"text": n.Text, "for": 'b'}))
	return a + b, err
}

// With a registry, the recorder runs the graphs that the node makes.
func ExampleOptions_graphs() {
	t := new(testing.T)

	r := flow.NewRegistry()
	flow.Register(r, Search{}, nodebus.Info{})
	rec := nodetest.New(t, &nodetest.Options{Registry: r})
	fmt.Println(Both{Text: "abracadabra"}.Run(rec.Context()))
	fmt.Println(len(nodetest.Sent[Found](rec)), "events of the nodes that Both has made")
	// Output:
	// 7 <nil>
	// 7 events of the nodes that Both has made
}

// Answer is a node that writes a text bit by bit.
type Answer struct{}

func (Answer) Run(ctx *nodebus.Context) (string, error) {
	out := ctx.Text("answer")
	for _, token := range []string{"forty", "-", "two"} {
		if _, err := out.WriteString(token); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// Text returns what the node has written.
func ExampleRecorder_Text() {
	t := new(testing.T)

	rec := nodetest.New(t, nil)
	_, _ = Answer{}.Run(rec.Context())
	fmt.Println(rec.Text("answer"))
	fmt.Println(len(rec.Events()), "events")
	// Output:
	// forty-two
	// 3 events
}
