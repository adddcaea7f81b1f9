package flow

import (
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// reductions make a record smaller, one after the other. Each copies what it changes,
// because others may read the record.
var reductions = []func(r *Record){
	func(r *Record) {
		changeError(r, func(e *nodebus.ExecutionError) { e.CurrentInputs = map[string][]any{} })
	},
	func(r *Record) { changePrompt(r, func(p *nodebus.Prompt) { p.Extra = nil }) },
	func(r *Record) { changePrompt(r, func(p *nodebus.Prompt) { p.Nodes = nil }) },
	func(r *Record) { r.Outputs = nil },
	func(r *Record) {
		changePrompt(r, func(p *nodebus.Prompt) { p.Outputs = nil })
		changeError(r, func(e *nodebus.ExecutionError) {
			e.Executed, e.CurrentOutputs, e.Traceback = []string{}, []string{}, []string{}
			e.ExceptionMessage, e.ExceptionType = shorten(e.ExceptionMessage, 1024), shorten(e.ExceptionType, 256)
		})
		if r.Cached != nil {
			c := *r.Cached
			c.Nodes, r.Cached = []string{}, &c
		}
		if r.Interrupted != nil {
			i := *r.Interrupted
			i.Executed, r.Interrupted = []string{}, &i
		}
	},
}

func changePrompt(r *Record, change func(p *nodebus.Prompt)) {
	p := *r.Prompt
	change(&p)
	r.Prompt = &p
}

func changeError(r *Record, change func(e *nodebus.ExecutionError)) {
	if r.Error == nil {
		return
	}
	e := *r.Error
	change(&e)
	r.Error = &e
}

// reduced returns r, or a smaller form of r if r takes more than limit bytes, and its
// size. If limit is very small, the smallest form may take more.
func reduced(r Record, limit int) (_ Record, size int) {
	size = recordSize(&r, limit)
	for _, reduce := range reductions {
		if size <= limit {
			break
		}
		r.Reduced = true
		reduce(&r)
		size = recordSize(&r, limit)
	}
	return r, size
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
