// Package conform holds suites that prove an implementation of one of nodebus's
// interfaces right, yours as well as ours: a Transport, Executor, Queue, Store
// or Cache. Call them from a test:
//
//	func TestQueue(t *testing.T) {
//		conform.Queue(t, func(t *testing.T) nodebus.Queue { return open(t) })
//	}
//
// Run them with the race detector.
package conform
