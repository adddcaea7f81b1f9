package nodebus_test

import (
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// redacting is a publisher that replaces each payload.
type redacting struct {
	nodebus.Publisher
	replace func(nodebus.Payload) nodebus.Payload
	passed  func(error)
}

func (r redacting) Publish(ev nodebus.Event) error {
	ev.Payload = r.replace(ev.Payload)
	err := r.Publisher.Publish(ev)
	r.passed(err)
	return err
}

// executeThrough runs a prompt with one output node, and publishes its events to pub.
func executeThrough(t *testing.T, pub nodebus.Publisher) error {
	reg := flow.NewRegistry()
	flow.Register(reg, nothingToShow{}, nodebus.Info{Name: "Show"})
	g := nodebus.NewGraph()
	g.AddAs("7", "Show", nil)
	_, err := flow.NewLocal(reg, nil).Execute(t.Context(), nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}}, pub)
	return err
}

// TestReplacedPayloadIsEncodedBeforePublishReturns checks that a wrapper's payload is
// encoded during Publish. The executor's own payloads are frozen and may be encoded
// later, but a payload that replaces one may not.
func TestReplacedPayloadIsEncodedBeforePublishReturns(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		line := []string{"said"}
		n := 0
		require.NoError(t, executeThrough(t, redacting{
			h,
			func(nodebus.Payload) nodebus.Payload { return withSlice{Lines: line} },
			func(err error) {
				require.NoError(t, err)
				n++
			},
		}))
		line[0] = "spoiled"
		p := &tape{}
		serveOn(t, h.Join("late", &nodebus.SessionOptions{Since: at(h, 0), Watch: []string{"p"}}), p)
		synctest.Wait()
		require.Positive(t, n)
		for _, f := range p.frames {
			require.JSONEq(t, `{"type":"slice","data":{"Lines":["said"]}}`, string(f.Data))
		}
		require.Len(t, p.frames, n)
	})
}

func TestReplacedPayloadThatCannotBeEncodedIsAnError(t *testing.T) {
	for name, replace := range map[string]func(nodebus.Payload) nodebus.Payload{
		"of another type": func(nodebus.Payload) nodebus.Payload {
			return nodebus.Custom{Type: "redacted", Data: func() {}}
		},
		"of the same type": func(p nodebus.Payload) nodebus.Payload {
			if _, shows := p.(nodebus.Executed); shows {
				return nodebus.Executed{Output: nodebus.UI{"x": {func() {}}}}
			}
			return nodebus.ExecutionError{CurrentInputs: map[string][]any{"x": {func() {}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := 0
				var as *nodebus.EncodeError
				require.ErrorAs(t, executeThrough(t, redacting{openHub(t, nil), replace, func(err error) {
					require.ErrorAs(t, err, &as)
					n++
				}}), &as, "what a node shows cannot be told")
				require.Positive(t, n)
			})
		})
	}
}

// nothingToShow is an output node without results.
type nothingToShow struct{}

func (nothingToShow) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text("x"), nil }
