package flow

import (
	"math"

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
		n += 112 + len(s.ID) + len(s.Class) + len(s.Meta) + len(s.Malformed) + value.MapWeight(len(s.Inputs))
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
	return n
}

// recordSize estimates the memory of a record, in bytes. It stops when the estimate
// exceeds limit.
func recordSize(r *Record, limit int) int {
	n := 512 + promptSize(r.Prompt, limit)
	for i := range r.Outputs {
		o := &r.Outputs[i]
		n += 80 + len(o.UniqueID) + len(o.DisplayID) + len(o.ParentID) + len(o.RealID) + value.MapWeight(len(o.UI))
		for name, list := range o.UI {
			n += len(name) + value.Weight(list, limit-n, askSize)
		}
		if n > limit {
			return n
		}
	}
	if r.Cached != nil {
		n += textsSize(r.Cached.Nodes)
	}
	if r.Interrupted != nil {
		n += textsSize(r.Interrupted.Executed)
	}
	if e := r.Error; e != nil {
		n += len(e.ExceptionMessage) + len(e.ExceptionType) + textsSize(e.Executed) + textsSize(e.Traceback) + textsSize(e.CurrentOutputs)
		n += inputsSize(e.CurrentInputs, limit-n)
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
	return min(n, math.MaxInt/2)
}
