package embed

import "github.com/nats-io/nats-server/v2/server"

// settled reports whether the server has made all that the cluster has told it to make, and
// whether each group of servers with a replica here has had a leader. A server that stops
// before that leaves files open, and goroutines that have them: it forgets a group that it is
// just making, and the log of a group that has not met the others yet. A server that has lost
// the others hears nothing more, and has settled.
func (s *Server) settled() bool {
	if !s.HasMajority() {
		return true
	}
	groups := s.groups()
	meta, member := groups[metaGroup]
	if member && (meta.Applied < meta.PIndex || meta.IPQApplyLen > 0) {
		return false
	}
	for _, g := range groups {
		if !g.EverHadLeader && g.State != server.Closed.String() {
			return false
		}
	}
	return true
}

// groups returns the groups of servers with a replica here, by their names: one of the whole
// cluster, and one of each stream.
func (s *Server) groups() map[string]server.RaftzGroup {
	all := map[string]server.RaftzGroup{}
	accounts, err := s.s.Accountz(nil)
	if err != nil {
		return nil
	}
	for _, account := range accounts.Accounts {
		if status := s.s.Raftz(&server.RaftzOptions{AccountFilter: account}); status != nil {
			for name, g := range (*status)[account] {
				all[name] = g
			}
		}
	}
	return all
}
