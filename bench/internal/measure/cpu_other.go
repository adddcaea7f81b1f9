//go:build !unix

package measure

import "time"

// CPU returns 0, because the CPU time is not available on this system.
func CPU() (user, system time.Duration) { return 0, 0 }
