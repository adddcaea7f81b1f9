// Package conform holds suites that prove an implementation of one of nodebus's
// interfaces right, yours as well as ours. Call them from a test:
//
//	func TestTransport(t *testing.T) {
//		conform.Transport(t, func(t *testing.T) (nodebus.Transport, conform.Client) { … })
//	}
package conform
