package flow

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nodebus/nodebus"
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

// NewCache returns a cache in memory that keeps results across prompts and across
// workflows, up to its limits. It is the default cache of a [Local]. It is safe for
// concurrent use. If opts is nil, the cache has the default limits.
func NewCache(opts *CacheOptions) Cache {
	if opts == nil {
		opts = &CacheOptions{}
	}
	return &boundedCache{
		opts:    CacheOptions{Entries: limit(opts.Entries, 100_000), Bytes: limit(opts.Bytes, 1<<30)},
		entries: map[cacheKey]*boundedEntry{},
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
	entries map[cacheKey]*boundedEntry
	ring    boundedEntry // its next is the least recently used entry, its last is the latest
	bytes   int
}

// boundedEntry is a result in a ring of all results.
type boundedEntry struct {
	held
	key        cacheKey
	size       int
	last, next *boundedEntry
}

// entrySize estimates the bytes that an entry takes without the values of its result.
const entrySize = 192

func (c *boundedCache) Get(key string) (Result, bool) {
	k := cacheKeyOf(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[k]
	if e == nil {
		return Result{}, false
	}
	if c.ring.last != e {
		c.cut(e)
		c.append(e)
	}
	return e.r, true
}

func (c *boundedCache) Put(key string, r Result) {
	e := &boundedEntry{key: cacheKeyOf(key), held: held{odd: oddKey(key)}}
	e.set(r)
	e.size = resultSize(r) + entrySize + len(e.odd) // the lock is not held, because Size is foreign code
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[e.key]; old != nil {
		c.remove(old)
	}
	c.entries[e.key] = e
	c.bytes += e.size
	c.append(e)
	for len(c.entries) > c.opts.Entries || c.bytes > c.opts.Bytes {
		c.remove(c.ring.next)
	}
}

// append makes an entry the latest of the ring.
func (c *boundedCache) append(e *boundedEntry) {
	if c.ring.next == nil {
		c.ring.last, c.ring.next = &c.ring, &c.ring
	}
	e.last, e.next = c.ring.last, &c.ring
	e.last.next, e.next.last = e, e
}

func (*boundedCache) cut(e *boundedEntry) {
	e.last.next, e.next.last = e.next, e.last
	e.last, e.next = nil, nil // a run may keep the entry for a while, and must not keep others
}

func (c *boundedCache) remove(e *boundedEntry) {
	c.bytes -= e.size
	delete(c.entries, e.key)
	c.cut(e)
}

// clear drops all results.
func (c *boundedCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.ring, c.bytes = boundedEntry{}, 0
}

func (c *boundedCache) Retain(keep func(key string) bool) {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.entries))
	c.mu.Unlock()
	for _, e := range all {
		if keep(e.key.text(e.odd)) { // no lock is held, because keep is foreign code
			continue
		}
		c.mu.Lock()
		if c.entries[e.key] == e {
			c.remove(e)
		}
		c.mu.Unlock()
	}
}

// cacheKey is a key in a map of results: the key itself if it has the length of an
// executor's key, else its hash.
type cacheKey [keyLen]byte

func cacheKeyOf(key string) (k cacheKey) {
	if len(key) == keyLen {
		copy(k[:], key)
		return k
	}
	return sha256.Sum256([]byte(key))
}

// oddKey returns a key of another length; else "".
func oddKey(key string) string {
	if len(key) == keyLen {
		return ""
	}
	return strings.Clone(key)
}

// text returns the key as its Put gave it. An empty key has the length 0, too, so its hash
// tells that it is empty.
func (k cacheKey) text(odd string) string {
	if odd != "" || k == cacheKeyOf("") {
		return odd
	}
	return string(k[:])
}

// held is a result in a cache in memory. It does not change, because runs may use it. It
// has its own list of outputs: the list of a run holds the outputs of all its nodes, and
// would keep them all in memory.
type held struct {
	r   Result
	one [1]any // the outputs, if there is one output
	odd string // see oddKey
}

func (h *held) set(r Result) {
	if h.r = r; len(r.Outputs) == 1 {
		h.one[0] = r.Outputs[0]
		h.r.Outputs = h.one[:]
	} else {
		h.r.Outputs = slices.Clone(r.Outputs)
	}
}

func resultSize(r Result) int {
	n := 0
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

// askSize returns v.Size(), or 0 if the method panics, for example on a nil pointer.
func askSize(v interface{ Size() int }) (n int) {
	_ = nodebus.Protect(func() error { n = v.Size(); return nil })
	return n
}
