package flow

import (
	"cmp"
	"reflect"
	"sync"

	"github.com/nodebus/nodebus"
)

// Cache keeps the results of nodes by key. Keys are opaque and the same in every
// process. Prompts that run side by side share it, so it must be safe for
// concurrent use; results are shared too and never modified.
//
// Whoever submits the same nodes with the same inputs is given the same results.
// A node that is given its unique id, its prompt's id or a secret by a `hidden`
// tag shares them only where those are the same; what else it finds out is for
// its [Fingerprinter] to tell.
type Cache interface {
	Get(key string) (Result, bool)
	Put(key string, r Result)
	// Retain drops what keep does not want.
	Retain(keep func(key string) bool)
}

// CacheOptions are the bounds of the cache that [NewCache] makes. The results that
// were used least recently are dropped first. Nil, and each zero field, is the
// default; a negative number is no bound.
type CacheOptions struct {
	Entries int // number of results; default 100 000
	// Bytes bounds what the results hold, as far as that can be told: lists, strings
	// and the buffers of images count, and a value with a method Size() int says
	// itself. Default 1 GiB.
	Bytes int
}

// NewCache returns a cache in memory that keeps results over any number of prompts.
func NewCache(opts *CacheOptions) Cache {
	c := &memCache{opts: CacheOptions{Entries: 100_000, Bytes: 1 << 30}, entries: map[string]*cacheEntry{}}
	if opts != nil {
		c.opts.Entries = cmp.Or(opts.Entries, c.opts.Entries)
		c.opts.Bytes = cmp.Or(opts.Bytes, c.opts.Bytes)
	}
	return c
}

// newRecent returns the default cache of a Local: it is swept after each prompt, and
// needs no bounds.
func newRecent() *memCache { return &memCache{entries: map[string]*cacheEntry{}} }

// NoCache returns a cache that keeps nothing: every node runs in every prompt.
func NoCache() Cache { return noCache{} }

type noCache struct{}

func (noCache) Get(string) (Result, bool) { return Result{}, false }
func (noCache) Put(string, Result)        {}
func (noCache) Retain(func(string) bool)  {}

type memCache struct {
	opts CacheOptions

	mu      sync.Mutex
	entries map[string]*cacheEntry
	first   *cacheEntry // the one used last
	last    *cacheEntry
	bytes   int
	gen     uint64
}

type cacheEntry struct {
	key   string
	r     Result
	size  int
	gen   uint64 // of the prompt that used it last
	newer *cacheEntry
	older *cacheEntry
}

func (c *memCache) Get(key string) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return Result{}, false
	}
	e.gen = c.gen
	if c.bounded() && e != c.first {
		c.unlink(e)
		c.link(e)
	}
	return e.r, true
}

func (c *memCache) bounded() bool { return c.opts.Entries > 0 || c.opts.Bytes > 0 }

func (c *memCache) Put(key string, r Result) {
	size := 0
	if c.opts.Bytes > 0 {
		size = resultSize(r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.remove(e)
	}
	e := &cacheEntry{key: key, r: r, size: size, gen: c.gen}
	c.entries[key] = e
	c.link(e)
	c.bytes += size
	for c.opts.Entries > 0 && len(c.entries) > c.opts.Entries || c.opts.Bytes > 0 && c.bytes > c.opts.Bytes {
		c.remove(c.last)
	}
}

// link makes e the one used last.
func (c *memCache) link(e *cacheEntry) {
	if e.older = c.first; c.first != nil {
		c.first.newer = e
	} else {
		c.last = e
	}
	c.first = e
}

func (c *memCache) unlink(e *cacheEntry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		c.first = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		c.last = e.newer
	}
	e.newer, e.older = nil, nil
}

func (c *memCache) remove(e *cacheEntry) {
	c.unlink(e)
	delete(c.entries, e.key)
	c.bytes -= e.size
}

func (c *memCache) Retain(keep func(key string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.first; e != nil; {
		older := e.older
		if !keep(e.key) {
			c.remove(e)
		}
		e = older
	}
}

// nextPrompt begins a generation: what is used from now on belongs to it.
func (c *memCache) nextPrompt() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	return c.gen
}

// sweep drops what no prompt since the one of generation gen has used. Done
// once that prompt has looked up all its keys, it leaves just those, as the
// reference's default cache does.
func (c *memCache) sweep(gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.first; e != nil; {
		older := e.older
		if e.gen < gen {
			c.remove(e)
		}
		e = older
	}
}

func resultSize(r Result) int {
	n := 64
	for _, v := range r.Outputs {
		n += 16 + heldBytes(reflect.ValueOf(v), 4)
	}
	for k, list := range r.UI {
		n += 32 + len(k)
		for _, v := range list {
			n += 16 + heldBytes(reflect.ValueOf(v), 4)
		}
	}
	return n
}

var sizer = reflect.TypeFor[interface{ Size() int }]()

// heldBytes estimates what v keeps in memory, looking a few levels deep.
func heldBytes(v reflect.Value, depth int) (n int) {
	if !v.IsValid() || depth == 0 {
		return 0
	}
	if v.CanInterface() && v.Type().Implements(sizer) {
		return askSize(v)
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		switch v.Type().Elem().Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Slice, reflect.String, reflect.Struct:
			for i := range v.Len() {
				n += heldBytes(v.Index(i), depth-1)
			}
		}
	case reflect.Interface:
		return heldBytes(v.Elem(), depth)
	case reflect.Pointer:
		if !v.IsNil() {
			return int(v.Type().Elem().Size()) + heldBytes(v.Elem(), depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += heldBytes(v.Field(i), depth-1)
		}
	case reflect.Map:
		n = v.Len() * int(v.Type().Elem().Size()+v.Type().Key().Size()+16)
	}
	return n
}

func askSize(v reflect.Value) (n int) {
	// The method of a nil pointer may panic.
	_ = nodebus.Protect(func() error { n = v.Interface().(interface{ Size() int }).Size(); return nil })
	return n
}
