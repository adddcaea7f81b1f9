package embed

import "time"

// SetLeaveTime changes how long Close waits, and returns a function that changes it back.
func SetLeaveTime(d time.Duration) (back func()) {
	before := leaveTime
	leaveTime = d
	return func() { leaveTime = before }
}

// SetPeersPause changes how often a server looks at its cluster, and returns a function that
// changes it back.
func SetPeersPause(d time.Duration) (back func()) {
	before := peersPause
	peersPause = d
	return func() { peersPause = before }
}

// CheckDir returns the error of Start for a directory that cannot be of a server with these options.
func (opts *Options) CheckDir() error {
	o, err := opts.server()
	if err != nil {
		return err
	}
	return checkDir(o)
}

// Settled reports whether the server has made all that the cluster has told it to make.
func (s *Server) Settled() bool { return s.settled() }
