// Package bubble runs tests in synctest bubbles that cannot hang.
package bubble

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

const (
	// limit is how much of its own time a bubble may take. It is longer than any test
	// sleeps. A test that waits for ever reaches it at once, because the time of a bubble
	// runs when all goroutines wait.
	limit = 48 * time.Hour
	// realLimit is how much real time a bubble may take. A goroutine that waits for a
	// lock stops the time of its bubble, so that only real time can end it.
	realLimit = 100 * time.Second
)

// Test is [synctest.Test], except that a test that hangs fails: the program ends with the
// name of the test and the stacks of all goroutines, long before the limit of go test.
func Test(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	name := t.Name()
	locked := time.AfterFunc(realLimit, func() {
		panic(fmt.Sprintf("%s hangs: after %v a goroutine of its bubble waits for a lock, or runs for ever", name, realLimit))
	})
	defer locked.Stop()
	synctest.Test(t, func(t *testing.T) {
		waiting := time.AfterFunc(limit, func() {
			panic(fmt.Sprintf("%s hangs: all its goroutines wait for ever", name))
		})
		defer waiting.Stop()
		test(t)
	})
}
