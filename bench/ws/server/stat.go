//go:build linux

package server

import (
	"runtime"

	"github.com/nodebus/nodebus/bench/internal/measure"
)

// Stat is an answer of the server; only what the command asked for is set.
type Stat struct {
	Addr string `json:",omitempty"` // where it listens, in the first answer
	Key  string `json:",omitempty"` // what stands before an event's time, in the first answer
	// Greetings is how many messages a client is sent first, in the first answer.
	Greetings int `json:",omitempty"`

	User, System float64 // CPU seconds
	RSS          int64   // bytes
	Heap, Stacks uint64  // bytes in use
	Mallocs      uint64
	Goroutines   int
	Writes       int64 // system calls
	Clients      int

	Published int64   // events
	Seconds   float64 // that took
	Busy      float64 // seconds spent inside Broadcast
}

// CPU is all CPU time, in seconds.
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
