package sched

// Cycle returns nodes that wait for each other in a ring: each node waits for
// the node before it, and the first waits for the last. It returns nil if there is
// no ring. A ring exists when no node is ready, no node runs and some node is
// still pending.
func (s *Sched) Cycle() []int32 {
	const (
		fresh = iota
		onPath
		left
	)
	mark := make([]uint8, len(s.nodes))
	at := make([]int32, len(s.nodes)) // the edge to follow next, for each node
	for _, start := range s.order {
		if s.nodes[start].state != pending || mark[start] != fresh {
			continue
		}
		path := []int32{start}
		mark[start], at[start] = onPath, s.nodes[start].out
		for len(path) > 0 {
			i := path[len(path)-1]
			e := at[i]
			if e == 0 {
				mark[i] = left
				path = path[:len(path)-1]
				continue
			}
			at[i] = s.edges[e-1].nextOut
			to := s.edges[e-1].to
			switch {
			case s.nodes[to].state != pending || mark[to] == left:
			case mark[to] == onPath:
				for k := len(path) - 1; ; k-- {
					if path[k] == to {
						return path[k:]
					}
				}
			default:
				mark[to], at[to] = onPath, s.nodes[to].out
				path = append(path, to)
			}
		}
	}
	return nil
}
