package conform

import "time"

// SetPatience makes the suites give up sooner.
func SetPatience(d time.Duration) { patience = d }
