package flow

import (
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// promptSize estimates the memory of a prompt, in bytes. It stops when the estimate
// exceeds limit.
func promptSize(p *nodebus.Prompt, limit int) int {
	n := 256 + len(p.ID) + len(p.ClientID)
	for _, id := range p.Outputs {
		n += 16 + len(id)
	}
	for i := range p.Nodes {
		s := &p.Nodes[i]
		n += 128 + len(s.ID) + len(s.Class) + len(s.Meta) + len(s.Malformed) + value.MapWeight(len(s.Inputs))
		n += 16 * len(s.Inputs) // the order of their names, unless other nodes share it
		if len(s.Extra) > 0 {
			n += value.MapWeight(len(s.Extra)) * 5 / 4 // a RawMessage is larger than an interface
		}
		for name, text := range s.Extra {
			n += 32 + len(name) + len(text) // with the place in the order
		}
		for name, v := range s.Inputs {
			if n > limit {
				return n
			}
			n += len(name)
			if l, ok := v.(nodebus.Link); ok {
				n += 24 + len(l.Node)
				continue
			}
			n += value.Weight(v, limit-n, askSize)
		}
	}
	if p.Extra != nil {
		n += value.Weight(p.Extra, limit-n, askSize)
	}
	if p.Rejected != nil {
		n += rejectedSize(p.Rejected, limit-n)
	}
	return n
}

// rejectedSize estimates the memory of the errors of rejected outputs, in bytes.
func rejectedSize(e *nodebus.ValidationError, limit int) int {
	n := 256 + len(e.Message) + len(e.Details) + value.MapWeight(len(e.Nodes))
	for id, node := range e.Nodes {
		if n += len(id) + 128; node == nil {
			continue
		}
		n += textsSize(node.DependentOutputs)
		for i := range node.Errors {
			p := &node.Errors[i]
			n += 128 + len(p.Type) + len(p.Message) + len(p.Details) + value.Weight(p.Extra, max(limit-n, 0), askSize)
		}
	}
	return n
}

func textsSize(texts []string) int {
	n := 24
	for _, text := range texts {
		n += 16 + len(text)
	}
	return n
}

// inputsSize estimates the memory of the inputs in an error, in bytes.
func inputsSize(inputs map[string][]any, limit int) int {
	n := value.MapWeight(len(inputs))
	for name, list := range inputs {
		n += len(name) + value.Weight(list, max(limit-n, 0), askSize)
	}
	return n
}

// askSize returns v.Size(), or 0 if the method panics, for example on a nil pointer.
func askSize(v interface{ Size() int }) (n int) {
	_ = nodebus.Protect(func() error { n = v.Size(); return nil })
	return n
}

// shorten cuts a text to at most limit bytes and says how much it leaves out.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > 0 && text[end]&0xc0 == 0x80 { // inside a character
		end--
	}
	return fmt.Sprintf("%s… (%d more bytes)", text[:end], len(text)-end)
}

// The limits of an execution_error: every client that hears of the prompt receives it,
// and the record keeps it.
const (
	errorTextMax   = 64 << 10 // the message, and each line of the traceback, in bytes
	errorListMax   = 10_000   // entries of executed and of current_outputs
	errorInputsMax = 1 << 20  // the memory of all inputs, in bytes
)

// boundError makes the parts of e smaller that are too large. Inputs that are too large
// become a text that says so.
func boundError(e *nodebus.ExecutionError) {
	e.ExceptionMessage = shorten(e.ExceptionMessage, errorTextMax)
	e.ExceptionType = shorten(e.ExceptionType, errorTextMax)
	for i := range e.Traceback {
		e.Traceback[i] = shorten(e.Traceback[i], errorTextMax)
	}
	e.Executed = e.Executed[:min(len(e.Executed), errorListMax)]
	e.CurrentOutputs = e.CurrentOutputs[:min(len(e.CurrentOutputs), errorListMax)]
	if inputsSize(e.CurrentInputs, errorInputsMax) <= errorInputsMax {
		return
	}
	inputs := make(map[string][]any, len(e.CurrentInputs))
	share := errorInputsMax / max(len(e.CurrentInputs), 1)
	for name, list := range e.CurrentInputs {
		if value.Weight(list, share, askSize) > share {
			list = []any{fmt.Sprintf("(left out: more than %d bytes)", share)}
		}
		inputs[name] = list
	}
	e.CurrentInputs = inputs
}
