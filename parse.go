package nodebus

import (
	"fmt"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// ParseOptions holds the limits of [ParseNodesWithin]. A nil pointer, and zero or less in
// any field, select the defaults.
type ParseOptions struct {
	// Nodes is the maximum number of nodes. Default 100 000.
	Nodes int
	// Bytes is the maximum memory of the graph, in bytes, as estimated from its JSON
	// before it is decoded. The JSON is often much smaller: a list without elements is two
	// bytes, and takes about 60 in memory. Default 128 MiB.
	Bytes int
}

// ParseNodes reads a graph in the API format, as ComfyUI saves it. If data is not a
// JSON object of nodes, it returns a [*ValidationError]. It does not check whether the
// graph can run; Submit does. A list of a string and a whole number becomes a [Link].
// A number that no float64 can hold becomes an infinity. So do the words NaN, Infinity and
// -Infinity, which Python writes: they become such a float64. Every other number stays a
// [json.Number]. It has the default limits of [ParseNodesWithin].
func ParseNodes(data []byte) (Nodes, error) { return ParseNodesWithin(data, nil) }

// ParseNodesWithin does the same as [ParseNodes], with limits. It stops reading at the
// first limit that data exceeds, and then returns a [*ValidationError] whose type is
// "prompt_too_large".
func ParseNodesWithin(data []byte, opts *ParseOptions) (Nodes, error) {
	var o ParseOptions
	if opts != nil {
		o = *opts
	}
	if o.Nodes <= 0 {
		o.Nodes = 100_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 128 << 20
	}
	if jsonenc.Cost(data, o.Bytes) > o.Bytes {
		return nil, tooLarge("The prompt needs too much memory",
			fmt.Sprintf("more than %d bytes after decoding, from %d bytes of JSON; raise the limit, or submit less", o.Bytes, len(data)))
	}
	return parseNodes(data, o.Nodes)
}

func tooLarge(message, details string) *ValidationError {
	return promptError("prompt_too_large", message, details)
}
