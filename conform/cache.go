package conform

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
)

// Cache holds a [nodebus.Cache] against its contract. fresh returns a new and
// empty one. A cache may forget, but what it gives is what was put last.
func Cache(t *testing.T, fresh func(t *testing.T) nodebus.Cache) {
	tests := map[string]func(*testing.T, nodebus.Cache){
		"what it gives is what was put last": cacheGet,
		"retain drops what is not wanted":    cacheRetain,
		"it may be used by many at a time":   cacheConcurrent,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func result(v any) nodebus.Result { return nodebus.Result{Outputs: []any{v}} }

func cacheGet(t *testing.T, c nodebus.Cache) {
	if r, ok := c.Get("a"); ok {
		t.Errorf("an empty cache gives %v", r)
	}
	for i := range 3 {
		c.Put("a", result(i))
		c.Put("b", result("other"))
		if r, ok := c.Get("a"); ok && (len(r.Outputs) != 1 || r.Outputs[0] != i) {
			t.Errorf("got %v after %d was put", r.Outputs, i)
		}
	}
}

func cacheRetain(t *testing.T, c nodebus.Cache) {
	for i := range 10 {
		c.Put(fmt.Sprint(i), result(i))
	}
	c.Retain(func(key string) bool { return key >= "5" })
	for i := range 10 {
		r, ok := c.Get(fmt.Sprint(i))
		if ok && i < 5 {
			t.Errorf("%d is still there", i)
		}
		if ok && r.Outputs[0] != i {
			t.Errorf("%d is %v", i, r.Outputs)
		}
	}
}

func cacheConcurrent(t *testing.T, c nodebus.Cache) {
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
					if r, ok := c.Get(key); ok && r.Outputs[0] != key {
						t.Errorf("%s is %v", key, r.Outputs)
					}
				}
			}
		})
	}
	within(t, "writing and reading", all.Wait)
}
