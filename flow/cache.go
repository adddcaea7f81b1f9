package flow

import (
	"maps"
	"slices"
	"sync"

	"github.com/nodebus/nodebus/internal/value"
)

// Cache keeps the results of nodes by key. A key is an opaque string; equal keys
// mean equal results in every process. Prompts that run at the same time share the
// cache, so its methods must be safe for concurrent use. Results are shared too:
// nobody may modify them. The executor holds no lock while it calls a method.
//
// Every client that submits the same nodes with the same inputs gets the same
// results. A node with a `hidden` tag for its unique id, its prompt id or a secret
// shares results only if these values are equal. If a result depends on anything
// else, the node must implement [nodebus.Fingerprinter]; otherwise clients get old
// results.
type Cache interface {
	// Get returns the result for key. ok is false if the cache does not have it.
	Get(key string) (Result, bool)
	// Put stores the result for key. The cache may drop it at any time.
	Put(key string, r Result)
	// Retain drops the results for whose keys keep returns false.
	Retain(keep func(key string) bool)
}

// CacheOptions holds the limits of the cache that [NewCache] makes. When a limit is
// reached, the cache drops the least recently used results. A nil pointer, and zero
// or less in any field, select the defaults. [math.MaxInt] removes a limit; if it
// removes both, memory may grow without end.
type CacheOptions struct {
	Entries int // maximum number of results; default 100 000
	// Bytes limits the estimated size of all results, in bytes. Lists, strings and
	// image buffers count. For a value with a method Size() int, the method's result
	// counts. Default 1 GiB.
	Bytes int
}

// NewCache returns a cache in memory that keeps results across prompts, up to its
// limits. It is safe for concurrent use. If opts is nil, the cache has the default
// limits.
func NewCache(opts *CacheOptions) Cache {
	if opts == nil {
		opts = &CacheOptions{}
	}
	return &boundedCache{
		opts:    CacheOptions{Entries: limit(opts.Entries, 100_000), Bytes: limit(opts.Bytes, 1<<30)},
		entries: map[string]boundedEntry{},
	}
}

// NoCache returns a cache that keeps nothing: every node runs in every prompt. It is
// safe for concurrent use.
func NoCache() Cache { return noCache{} }

type noCache struct{}

func (noCache) Get(string) (Result, bool) { return Result{}, false }
func (noCache) Put(string, Result)        {}
func (noCache) Retain(func(string) bool)  {}

// boundedCache drops the least recently used results.
type boundedCache struct {
	opts CacheOptions

	mu      sync.Mutex
	entries map[string]boundedEntry
	uses    []cacheUse // in order; a use is current if its number equals the use of its entry
	number  uint64     // number of the last use
	bytes   int
}

type boundedEntry struct {
	r    Result
	size int
	use  uint64 // number of the last use
}

type cacheUse struct {
	key    string
	number uint64
}

func (c *boundedCache) Get(key string) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if ok && e.use != c.number {
		c.use(key, e)
	}
	return e.r, ok
}

func (c *boundedCache) Put(key string, r Result) {
	size := resultSize(r) // the lock is not held, because Size is foreign code
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += size - c.entries[key].size
	c.use(key, boundedEntry{r: r, size: size})
	for len(c.entries) > c.opts.Entries || c.bytes > c.opts.Bytes {
		oldest := c.uses[0]
		if c.uses = c.uses[1:]; c.entries[oldest.key].use == oldest.number {
			c.remove(oldest.key)
		}
	}
}

// use records a use of an entry and stores the entry.
func (c *boundedCache) use(key string, e boundedEntry) {
	c.number++
	e.use = c.number
	c.entries[key] = e
	if c.uses = append(c.uses, cacheUse{key, c.number}); len(c.uses) > 2*len(c.entries)+64 {
		c.uses = slices.DeleteFunc(c.uses, func(u cacheUse) bool { return c.entries[u.key].use != u.number })
	}
}

func (c *boundedCache) remove(key string) {
	c.bytes -= c.entries[key].size
	delete(c.entries, key)
}

func (c *boundedCache) Retain(keep func(key string) bool) {
	c.mu.Lock()
	keys := slices.Collect(maps.Keys(c.entries))
	c.mu.Unlock()
	keys = slices.DeleteFunc(keys, keep) // no lock is held, because keep is foreign code
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.remove(key)
	}
}

// recentCache is the default cache of a Local. It keeps the results that the last
// prompt used, as the default cache of ComfyUI does. It has no limits. It is not a
// Cache: Local calls clear and sweep instead of Retain.
type recentCache struct {
	mu         sync.Mutex
	entries    map[string]*recentEntry
	generation uint64
}

type recentEntry struct {
	r          Result
	generation uint64 // generation of the last prompt that used the result
}

func (c *recentCache) Get(key string) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return Result{}, false
	}
	e.generation = c.generation
	return e.r, true
}

func (c *recentCache) Put(key string, r Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string]*recentEntry{}
	}
	c.entries[key] = &recentEntry{r, c.generation}
}

// clear drops all results.
func (c *recentCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

// nextPrompt begins a new generation: all later uses belong to it.
func (c *recentCache) nextPrompt() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	return c.generation
}

// sweep drops the results of earlier generations. After the prompt has looked up all
// its keys, only the results that it uses remain.
func (c *recentCache) sweep(generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.entries, func(_ string, e *recentEntry) bool { return e.generation < generation })
}

func resultSize(r Result) int {
	n := 64
	for _, v := range r.Outputs {
		n += 16 + value.Size(v, askSize)
	}
	for k, list := range r.UI {
		n += 32 + len(k)
		for _, v := range list {
			n += 16 + value.Size(v, askSize)
		}
	}
	return n
}
