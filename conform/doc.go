// Package conform contains test suites for implementations of nodebus's interfaces
// Transport, Executor, Queue, Store and Cache. nodebus tests its own implementations with
// them. Call a suite from a test:
//
//	func TestQueue(t *testing.T) {
//		conform.Queue(t, func(t *testing.T) flow.Queue { return open(t) })
//	}
//
// Run the suites with the race detector. No suite fails because a machine is slow,
// unless something takes 20 seconds that should take no time at all.
package conform
