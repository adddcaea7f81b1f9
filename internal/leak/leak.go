// Package leak fails a test binary that leaves goroutines behind.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Main runs the tests and then waits up to about 30 seconds for goroutines to end.
// If some goroutines remain, it prints their stacks and returns 1, so that the
// run fails. Use it as os.Exit(leak.Main(m)) in a TestMain. m is a [testing.M], or runs one
// with something around it.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	var left []string
	for wait := time.Millisecond; wait < 20*time.Second; wait *= 2 {
		if left = running(); len(left) == 0 {
			return 0
		}
		time.Sleep(wait)
	}
	fmt.Fprintf(os.Stderr, "%d goroutines still run after the tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
	return 1
}

// running returns the stacks of all goroutines except the calling goroutine and
// the goroutines of the runtime and of package testing.
func running() (left []string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for i, g := range strings.Split(strings.TrimSpace(string(buf)), "\n\n") {
		if i == 0 || strings.Contains(g, "testing.(*M).") || strings.Contains(g, "runtime.goexit0") ||
			strings.Contains(g, "os/signal.loop") || strings.Contains(g, "testing.runFuzz") {
			continue
		}
		left = append(left, g)
	}
	return left
}
