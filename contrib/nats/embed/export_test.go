package embed

import "time"

// SetLeaveTime changes how long Close waits, and returns a function that changes it back.
func SetLeaveTime(d time.Duration) (back func()) {
	before := leaveTime
	leaveTime = d
	return func() { leaveTime = before }
}
