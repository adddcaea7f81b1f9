//go:build !unix

package measure

import "time"

// CPU is not known here.
func CPU() (user, system time.Duration) { return 0, 0 }
