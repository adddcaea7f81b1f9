//go:build e2e

package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestThreeProcesses: three processes with a NATS server in each. One at random is killed, and
// the next when it is back; the line between two of them is cut or stalled; and clients go
// from one process to another with their cursors. A cluster that has lost a leader chooses the
// next for 4 to 9 s, so there are fewer kills than with one process.
func TestThreeProcesses(t *testing.T) {
	t.Parallel()
	r := newClusterRig(t)
	r.prompts, r.goal = *prompts, max(*kills/4, 1)
	r.connect(20, 20, 10)
	r.survive()
}

// TestRollingDeploymentOfThree: a new process takes over from each of three old ones by turns.
func TestRollingDeploymentOfThree(t *testing.T) {
	t.Parallel()
	r := newClusterRig(t)
	r.rolling, r.prompts, r.goal = true, *prompts/4, max(*kills/6, 3)
	r.connect(6, 6, 4)
	r.survive()
}

// TestRestartOfThree: all three processes end at the same time, and begin again. What has not
// ended goes on.
func TestRestartOfThree(t *testing.T) {
	t.Parallel()
	r := newClusterRig(t)
	r.rolling, r.whole, r.prompts, r.goal = true, true, *prompts/4, 3*max(*kills/10, 1)
	r.connect(6, 6, 4)
	r.survive()
}

// span is the lines between two servers: each of them connects to the other one.
type span struct {
	down atomic.Bool
	ways []*proxy
}

// freeAddress chooses an address that nobody uses. It is none of those that the system gives
// to connections, so that nobody uses it while its process is killed.
func freeAddress() string {
	for {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
}

// newClusterRig starts three servers of a cluster. Their lines to each other go through
// proxies.
func newClusterRig(t *testing.T) *rig {
	r, program := emptyRig(t), host(t)
	const n = 3
	var own [n]string
	var routes [n][]string
	for i := range own {
		own[i] = freeAddress()
	}
	for i := range n {
		for j := range i {
			s := &span{}
			for _, way := range [][2]int{{i, j}, {j, i}} {
				p, err := newProxy(func() string {
					if s.down.Load() {
						return ""
					}
					return own[way[1]]
				})
				require.NoError(t, err)
				t.Cleanup(p.close)
				routes[way[0]], s.ways = append(routes[way[0]], p.address()), append(s.ways, p)
			}
			r.between = append(r.between, s)
		}
	}
	return r.startCluster(program, own[:], routes[:])
}

func (r *rig) startCluster(program string, own []string, routes [][]string) *rig {
	var begun []*process
	for i := range own {
		dir := r.t.TempDir()
		s := newServer(r.t, program, dir, "-node", fmt.Sprint("n", i), "-dir", filepath.Join(dir, "nats"), "-own", own[i], "-routes", strings.Join(routes[i], ","))
		p, err := s.launch()
		require.NoError(r.t, err)
		r.servers, begun = append(r.servers, s), append(begun, p)
	}
	for i, p := range begun { // each waits for the others
		<-p.ready
		require.NotEmpty(r.t, p.at(), "process %d has ended: %v", i, p.err)
	}
	return r
}

// disturb cuts or stalls the lines between two servers for a moment, or for so long that the
// others choose a new leader.
func (r *rig) disturb(ctx context.Context) {
	s, long := r.between[r.random(len(r.between))], time.Duration(r.random(6000))*time.Millisecond
	if r.parted.Load() == 0 || r.random(2) == 0 {
		s.down.Store(true)
		for _, p := range s.ways {
			p.cut(func() bool { return true })
		}
		wait(ctx, long)
		s.down.Store(false)
		r.parted.Add(1)
		return
	}
	r.slowed++
	for _, p := range s.ways {
		defer p.stall()()
	}
	wait(ctx, long)
}
