package conform

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/flow"
)

// Cache tests a [flow.Cache] against its contract. fresh returns a new, empty cache.
// A cache may drop entries, but Get must never return an outdated result. A cache may keep
// results as JSON: see [flow.Result.MarshalJSON]. Then numbers may come back with another
// Go type, but nodes must get the values that they would get without a cache.
func Cache(t *testing.T, fresh func(t *testing.T) flow.Cache) {
	tests := map[string]func(*testing.T, flow.Cache){
		"Get returns the result put last": cacheGet,
		"Retain drops unwanted entries":   cacheRetain,
		"it is safe for concurrent use":   cacheConcurrent,
		"nodes get the same values":       cacheExecutor,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func result(v any) flow.Result { return flow.Result{Outputs: []any{v}} }

// holds reports whether a result has the one output v, or what JSON makes of it.
func holds(r flow.Result, v any) bool {
	got, err := json.Marshal(r.Outputs)
	want, _ := json.Marshal([]any{v})
	return err == nil && string(got) == string(want)
}

func cacheGet(t *testing.T, c flow.Cache) {
	if r, ok := c.Get("a"); ok {
		t.Errorf("Get on an empty cache returns %v, want nothing", r)
	}
	for i := range 3 {
		c.Put("a", result(i))
		c.Put("b", result("other"))
		if r, ok := c.Get("a"); ok && !holds(r, i) {
			t.Errorf("Get returns %v after Put of %d", r.Outputs, i)
		}
	}
}

func cacheRetain(t *testing.T, c flow.Cache) {
	for i := range 10 {
		c.Put(fmt.Sprint(i), result(i))
	}
	c.Retain(func(key string) bool { return key >= "5" })
	for i := range 10 {
		r, ok := c.Get(fmt.Sprint(i))
		if ok && i < 5 {
			t.Errorf("key %d is still in the cache after Retain", i)
		}
		if ok && !holds(r, i) {
			t.Errorf("Get of key %d returns %v", i, r.Outputs)
		}
	}
}

func cacheConcurrent(t *testing.T, c flow.Cache) {
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 200 {
				key := fmt.Sprint(i % 20)
				switch {
				case w == 0 && i%50 == 0:
					c.Retain(func(key string) bool { return len(key) == 1 })
				case i%2 == 0:
					c.Put(key, result(key))
				default:
					if r, ok := c.Get(key); ok && !holds(r, key) {
						t.Errorf("Get of key %s returns %v", key, r.Outputs)
					}
				}
			}
		})
	}
	within(t, "writing and reading", all.Wait)
}
