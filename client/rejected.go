package client

import (
	"sync"

	"github.com/nodebus/nodebus"
)

// rejectedMax is the maximum number of prompts whose rejected outputs a client keeps.
const rejectedMax = 256

// rejections holds the outputs of own prompts that do not run: ComfyUI's record has only the
// outputs that ran.
type rejections struct {
	mu     sync.Mutex
	oldest []rejection // the oldest first
}

type rejection struct {
	promptID string
	why      *nodebus.ValidationError
}

// add adds the outputs of a prompt.
func (r *rejections) add(promptID string, why *nodebus.ValidationError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.oldest) == rejectedMax {
		r.oldest = r.oldest[1:]
	}
	r.oldest = append(r.oldest, rejection{promptID, why})
}

// of returns the outputs of a prompt that did not run, if they are known.
func (r *rejections) of(promptID string) *nodebus.ValidationError {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.oldest) - 1; i >= 0; i-- {
		if r.oldest[i].promptID == promptID {
			return r.oldest[i].why
		}
	}
	return nil
}
