package flow

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// ClassicCache returns a cache that keeps only what the last prompt used, as ComfyUI does
// by default: the results of the prompt's nodes, and the results of nodes that these
// nodes made at run time, also in earlier prompts. It has no limit in bytes or entries: a
// prompt with large results keeps them all until another prompt runs. Use it to compare a
// program with ComfyUI; [NewCache] is better in a server.
//
// Give it to one [Local] directly, because only a Local tells it when a prompt begins. In
// a wrapper it keeps everything. It is safe for concurrent use.
func ClassicCache() Cache { return &classicCache{entries: map[cacheKey]*classicEntry{}} }

type classicCache struct {
	mu         sync.Mutex
	entries    map[cacheKey]*classicEntry
	generation uint64      // number of the last prompt
	madeAny    atomic.Bool // some entry has a madeUse
}

type classicEntry struct {
	held
	generation uint64    // the last prompt that used the result for one of its own nodes
	made       []madeUse // uses for nodes made at run time, one for each node that made them
}

// madeUse is the use of a result for a node made at run time.
type madeUse struct {
	by         *origin
	generation uint64
}

func (c *classicCache) Get(key string) (Result, bool) { return c.get(key, nil) }

// get returns a result for a node. by is the origin of a node made at run time; nil for a
// node of the prompt.
func (c *classicCache) get(key string, by *origin) (Result, bool) {
	k := cacheKeyOf(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[k]
	if e == nil {
		return Result{}, false
	}
	c.use(e, by)
	return e.r, true
}

func (c *classicCache) Put(key string, r Result) { c.put(key, r, nil) }

func (c *classicCache) put(key string, r Result, by *origin) {
	k, e := cacheKeyOf(key), &classicEntry{held: held{odd: oddKey(key)}}
	e.set(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[k]; old != nil {
		e.generation, e.made = old.generation, old.made
	}
	c.entries[k] = e
	c.use(e, by)
}

func (c *classicCache) use(e *classicEntry, by *origin) {
	if by == nil {
		e.generation = c.generation
		return
	}
	c.madeAny.Store(true)
	for k := range e.made {
		if e.made[k].by.parentID == by.parentID {
			e.made[k] = madeUse{by, c.generation}
			return
		}
	}
	e.made = append(e.made, madeUse{by, c.generation})
}

// clear drops all results.
func (c *classicCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

func (c *classicCache) Retain(keep func(key string) bool) {
	c.mu.Lock()
	all := maps.Clone(c.entries)
	c.mu.Unlock()
	for k, e := range all {
		if keep(k.text(e.odd)) { // no lock is held, because keep is foreign code
			continue
		}
		c.mu.Lock()
		if c.entries[k] == e {
			delete(c.entries, k)
		}
		c.mu.Unlock()
	}
}

// nextPrompt begins a new generation: all later uses belong to it.
func (c *classicCache) nextPrompt() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	return c.generation
}

// sweep drops the uses of earlier generations, and the results without any use. A use for
// a node made at run time stays if stays returns true for it. stays must not call foreign
// code.
func (c *classicCache) sweep(generation uint64, stays func(by *origin) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	some := false
	maps.DeleteFunc(c.entries, func(_ cacheKey, e *classicEntry) bool {
		e.made = slices.DeleteFunc(e.made, func(u madeUse) bool {
			return u.generation < generation && !stays(u.by)
		})
		some = some || len(e.made) > 0
		return e.generation < generation && len(e.made) == 0
	})
	c.madeAny.Store(some)
}

// sweepAtStart drops the results that the prompt does not use, after the prompt has
// looked up all its keys. What its nodes made in an earlier prompt stays: they may make
// it again.
func (r *run) sweepAtStart(generation uint64) {
	r.promptNo = generation
	r.local.classic.sweep(generation, func(by *origin) bool {
		_, is := r.plan.byID[by.realID]
		return is
	})
}

// sweepAtEnd drops the results of nodes that were made in an earlier prompt and not
// again, although the node that made them has run. The run has ended well.
func (r *run) sweepAtEnd() {
	c := r.local.classic
	if c == nil || !c.madeAny.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ran := map[string]bool{}
	for i := range int32(r.graph.size()) {
		if n := r.graph.at(i); n.ran {
			ran[n.plan.id] = true
		}
	}
	fates := map[*origin]fate{}
	c.sweep(r.promptNo, func(by *origin) bool { return r.fate(by, ran, fates) == fateSlept })
}

// fate says what became of a node that made others in an earlier prompt.
type fate uint8

const (
	fateGone  fate = iota + 1 // it does not exist in this prompt
	fateSlept                 // it did not run, because its result was cached or not needed
	fateRan                   // it ran
)

// fate returns the fate of the node that by names. mu is held.
func (r *run) fate(by *origin, ran map[string]bool, fates map[*origin]fate) (f fate) {
	if f := fates[by]; f > 0 {
		return f
	}
	defer func() { fates[by] = f }()
	_, is := r.plan.byID[by.parentID]
	if by.up != nil {
		if f := r.fate(by.up, ran, fates); f != fateRan {
			return f
		}
		_, is = r.graph.byID[by.parentID]
	}
	switch {
	case !is:
		return fateGone
	case ran[by.parentID]:
		return fateRan
	}
	return fateSlept
}
