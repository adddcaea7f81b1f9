package flow

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// Cache keeps the results of nodes by key. Keys are opaque and the same in every
// process. Prompts that run side by side share the cache, so its methods must be safe
// for concurrent use. Results are shared too: nobody modifies them. No lock of the
// executor is held while a method runs.
//
// Whoever submits the same nodes with the same inputs gets the same results. A node that
// gets its unique id, its prompt's id or a secret by a `hidden` tag shares its results
// only where these are the same. If a result depends on anything else, the node is a
// [nodebus.Fingerprinter].
type Cache interface {
	Get(key string) (Result, bool)
	Put(key string, r Result)
	// Retain drops the results whose keys keep does not want.
	Retain(keep func(key string) bool)
}

// CacheOptions are the bounds of the cache that [NewCache] makes. The results that
// were used least recently are dropped first. Nil, and each zero field, is the
// default; a negative number is no bound.
type CacheOptions struct {
	Entries int // number of results; default 100 000
	// Bytes bounds what the results hold, as far as that can be known: lists, strings
	// and the buffers of images count, and a value with a method Size() int reports its
	// size itself. Default 1 GiB.
	Bytes int
}

// NewCache returns a cache in memory that keeps results over any number of prompts.
func NewCache(opts *CacheOptions) Cache {
	c := &boundedCache{opts: CacheOptions{Entries: 100_000, Bytes: 1 << 30}, entries: map[string]boundedEntry{}}
	if opts != nil {
		c.opts.Entries = cmp.Or(opts.Entries, c.opts.Entries)
		c.opts.Bytes = cmp.Or(opts.Bytes, c.opts.Bytes)
	}
	return c
}

// NoCache returns a cache that keeps nothing: every node runs in every prompt.
func NoCache() Cache { return noCache{} }

type noCache struct{}

func (noCache) Get(string) (Result, bool) { return Result{}, false }
func (noCache) Put(string, Result)        {}
func (noCache) Retain(func(string) bool)  {}

// boundedCache drops the results that were used least recently.
type boundedCache struct {
	opts CacheOptions

	mu      sync.Mutex
	entries map[string]boundedEntry
	uses    []cacheUse // in order; a use counts if its number is the last of its entry
	number  uint64     // of the last use
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
	size := 0
	if c.opts.Bytes > 0 {
		size = resultSize(r) // asks methods of foreign types, so that the lock is not held
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += size - c.entries[key].size
	c.use(key, boundedEntry{r: r, size: size})
	for c.opts.Entries > 0 && len(c.entries) > c.opts.Entries || c.opts.Bytes > 0 && c.bytes > c.opts.Bytes {
		oldest := c.uses[0]
		if c.uses = c.uses[1:]; c.entries[oldest.key].use == oldest.number {
			c.remove(oldest.key)
		}
	}
}

// use notes that an entry is used now.
func (c *boundedCache) use(key string, e boundedEntry) {
	c.number++
	e.use = c.number
	c.entries[key] = e
	if !c.bounded() {
		return
	}
	if c.uses = append(c.uses, cacheUse{key, c.number}); len(c.uses) > 2*len(c.entries)+64 {
		c.uses = slices.DeleteFunc(c.uses, func(u cacheUse) bool { return c.entries[u.key].use != u.number })
	}
}

func (c *boundedCache) bounded() bool { return c.opts.Entries > 0 || c.opts.Bytes > 0 }

func (c *boundedCache) remove(key string) {
	c.bytes -= c.entries[key].size
	delete(c.entries, key)
}

func (c *boundedCache) Retain(keep func(key string) bool) {
	c.mu.Lock()
	keys := slices.Collect(maps.Keys(c.entries))
	c.mu.Unlock()
	keys = slices.DeleteFunc(keys, keep) // keep is foreign code
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.remove(key)
	}
}

// recentCache is the default cache of a Local. It keeps the results that the last prompt
// used, as the reference's default cache does, and needs no bounds.
type recentCache struct {
	mu         sync.Mutex
	entries    map[string]*recentEntry
	generation uint64
}

type recentEntry struct {
	r          Result
	generation uint64 // of the prompt that used the result last
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

// Retain is there to make a Cache; Local calls clear and sweep instead.
func (c *recentCache) Retain(keep func(key string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.entries, func(key string, _ *recentEntry) bool { return !keep(key) })
}

// clear drops all results.
func (c *recentCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

// nextPrompt begins a generation: what is used from now on belongs to it.
func (c *recentCache) nextPrompt() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	return c.generation
}

// sweep drops what no prompt since the one of a generation has used. Once that prompt
// has looked up all its keys, only the results that it uses are left.
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

// askSize returns 0 if the method panics, as that of a nil pointer may.
func askSize(v interface{ Size() int }) (n int) {
	_ = nodebus.Protect(func() error { n = v.Size(); return nil })
	return n
}
