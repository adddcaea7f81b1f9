//go:build unix

package measure

import (
	"syscall"
	"time"
)

// CPU is what this process has used so far, in user code and in the system.
func CPU() (user, system time.Duration) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}
