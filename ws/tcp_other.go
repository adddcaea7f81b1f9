//go:build !linux || 386 || s390x

package ws

import (
	"net"
	"time"
)

// queued returns false: there is no way to ask this system.
func queued(net.Conn) (n int, ok bool) { return 0, false }

// acknowledged returns false: there is no way to ask this system.
func acknowledged(net.Conn) (unacked bool, since time.Duration, ok bool) { return false, 0, false }
