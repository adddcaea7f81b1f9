//go:build linux

package server

import (
	"runtime"

	"github.com/nodebus/nodebus/bench/internal/measure"
)

// Stat is an answer of the server. Only the fields for the command are set.
type Stat struct {
	Addr string `json:",omitempty"` // the server's address; only in the first answer
	Wire *Wire  `json:",omitempty"` // only in the first answer

	User, System float64 // CPU seconds
	RSS          int64   // bytes
	Heap, Stacks uint64  // bytes in use
	Mallocs      uint64
	Goroutines   int
	Writes       int64 // number of system calls
	Clients      int

	Published int64   // number of events
	Seconds   float64 // duration of the command
	Busy      float64 // seconds spent inside Broadcast and Send
	Median    float64 // median of these times, in seconds; other programs do not change it much
}

// CPU returns the total CPU time, in seconds.
func (s *Stat) CPU() float64 { return s.User + s.System }

func readStat(p Peer) Stat {
	user, system := measure.CPU()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Stat{
		User: user.Seconds(), System: system.Seconds(),
		RSS:  measure.ProcField("/proc/self/status", "VmRSS:") * 1024,
		Heap: m.HeapInuse, Stacks: m.StackInuse, Mallocs: m.Mallocs,
		Goroutines: runtime.NumGoroutine(),
		Writes:     measure.ProcField("/proc/self/io", "syscw:"),
		Clients:    p.Clients(),
	}
}
