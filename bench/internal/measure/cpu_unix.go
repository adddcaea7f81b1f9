//go:build unix

package measure

import (
	"syscall"
	"time"
)

// CPU returns the CPU time of this process so far, in user code and in the system. It
// returns 0 if the system call fails.
func CPU() (user, system time.Duration) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}
