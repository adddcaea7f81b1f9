package nodebus_test

import (
	"encoding/base64"
	"fmt"

	"github.com/nodebus/nodebus"
)

// TextOnly is a codec for clients that do not support binary frames. It sends the
// content of binary frames as text.
type TextOnly struct{ nodebus.Codec }

// Encode replaces binary frames with text frames.
func (c TextOnly) Encode(ev nodebus.Event) (nodebus.Frame, error) {
	f, err := c.Codec.Encode(ev)
	if err != nil || !f.Binary {
		return f, err
	}
	ev.Payload = nodebus.Custom{Type: f.Type, Data: base64.StdEncoding.EncodeToString(f.Data)}
	return c.Codec.Encode(ev)
}

// A codec can wrap another codec. SessionOptions.Codec sets the codec of a session.
func ExampleCodec() {
	codec := TextOnly{nodebus.JSON}
	for _, p := range []nodebus.Payload{
		nodebus.Executing{UniqueID: "7", PromptID: "p"},
		nodebus.ProgressText{UniqueID: "7", Text: "half way"},
	} {
		f, err := codec.Encode(nodebus.Event{Broadcast: true, Payload: p})
		fmt.Printf("%s %v\n", f.Data, err)
	}
	// Output:
	// {"type":"executing","data":{"node":"7","prompt_id":"p"}} <nil>
	// {"type":"progress_text","data":"AAAAAwAAAAE3aGFsZiB3YXk="} <nil>
}
