// Package nowait writes to sockets without waiting.
package nowait

import "net"

// Of returns a Writer for c, or nil: the system cannot write without waiting, or c is not
// a socket, for example with TLS.
func Of(c net.Conn) *Writer { return of(c) }

// Write writes as much of p as the socket takes now. A full socket is not an error. One
// goroutine at a time may call Write.
func (w *Writer) Write(p []byte) (n int, err error) { return w.write(p) }
