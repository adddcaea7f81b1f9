//go:build linux && !386 && !s390x

package ws

import (
	"net"
	"syscall"
	"time"
	"unsafe"
)

// siocOutQ asks for the number of bytes that the system holds for the peer.
const siocOutQ = syscall.TIOCOUTQ

// queued returns the number of bytes that the system holds for the peer: not sent, or
// not acknowledged. ok is false if the system does not say.
func queued(c net.Conn) (n int, ok bool) {
	var size int32
	ok = ask(c, func(fd uintptr) bool {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, siocOutQ, uintptr(unsafe.Pointer(&size)))
		return errno == 0
	})
	return int(size), ok
}

// acknowledged returns whether the system of the peer has bytes to acknowledge, and the
// time since it has last acknowledged any. ok is false if the system does not say.
func acknowledged(c net.Conn) (unacked bool, since time.Duration, ok bool) {
	var info syscall.TCPInfo
	ok = ask(c, func(fd uintptr) bool {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		return errno == 0
	})
	return info.Unacked > 0, time.Duration(info.Last_ack_recv) * time.Millisecond, ok
}

// ask calls f with the socket below c, for example below TLS.
func ask(c net.Conn, f func(fd uintptr) bool) (ok bool) {
	for {
		below, layered := c.(interface{ NetConn() net.Conn })
		if !layered {
			break
		}
		c = below.NetConn()
	}
	sc, isSocket := c.(syscall.Conn)
	if !isSocket {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) { ok = f(fd) })
	return ok && err == nil
}
