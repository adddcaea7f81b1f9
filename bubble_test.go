package nodebus_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

const (
	// bubbleLimit is how much of its own time a bubble may take. It is longer than any
	// test sleeps. A test that waits for ever reaches it at once, because the time of a
	// bubble runs when all goroutines wait.
	bubbleLimit = 48 * time.Hour
	// realLimit is how much real time a bubble may take. A goroutine that waits for a
	// lock stops the time of its bubble, so that only real time can end it.
	realLimit = 30 * time.Second
)

// bubble runs a test in a synctest bubble. A test that hangs fails: the program ends
// with the stacks of all goroutines, long before the limit of go test.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	name := t.Name()
	lock := time.AfterFunc(realLimit, func() {
		panic(fmt.Sprintf("%s hangs: after %v a goroutine of its bubble waits for a lock, or runs for ever", name, realLimit))
	})
	defer lock.Stop()
	synctest.Test(t, func(t *testing.T) {
		forever := time.AfterFunc(bubbleLimit, func() {
			panic(fmt.Sprintf("%s hangs: all its goroutines wait for ever", name))
		})
		defer forever.Stop()
		test(t)
	})
}
