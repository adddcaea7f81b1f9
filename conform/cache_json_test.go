package conform_test

import (
	"encoding/json"
	"sync"

	"github.com/nodebus/nodebus/flow"
)

// jsonCache keeps results as JSON, as a cache outside the process does.
type jsonCache struct {
	mu      sync.Mutex
	entries map[string][]byte
}

func (c *jsonCache) Get(key string) (r flow.Result, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	data, ok := c.entries[key]
	return r, ok && json.Unmarshal(data, &r) == nil
}

func (c *jsonCache) Put(key string, r flow.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string][]byte{}
	}
	data, err := json.Marshal(r)
	if err != nil {
		delete(c.entries, key)
		return
	}
	c.entries[key] = data
}

func (c *jsonCache) Retain(keep func(key string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.entries {
		if !keep(key) {
			delete(c.entries, key)
		}
	}
}
