package embed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// ErrWrite is in the error of [Server.Err] if the server could not write a file, for example
// because the disk is full.
var ErrWrite = errors.New("the server cannot write its files")

// storeLimit returns how many bytes the streams may take: what they take now, and three
// quarters of what the disk has left. The default of the server leaves out what they take: on a
// disk that is more than half full of streams, a server that starts again would store
// nothing. storeLimit returns 0 if the disk does not say.
func storeLimit(dir string) int64 {
	left := available(dir)
	if left == 0 {
		return 0
	}
	used := int64(0)
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				used += info.Size()
			}
		}
		return nil // a file may be gone meanwhile
	})
	return used + left/4*3
}

// cannotWrite notes a report that says that the server stores nothing more. It does so until
// it is started again.
func (s *Server) cannotWrite(report string) {
	for _, sign := range []string{"critical write error", "will be disabled", "disabling jetstream"} { // of nats-server
		if strings.Contains(strings.ToLower(report), sign) {
			s.end(fmt.Errorf("embed: %w: %s: close the server, look for room on the disk of %s, and start the server again", ErrWrite, report, s.opts.StoreDir))
			return
		}
	}
}

// Done returns a channel that is closed when the server stores nothing more: it was closed,
// or could not write a file. [Server.Err] tells which. The server does not recover, also if the
// disk has room again: close the bus and the server, and start them again, or end the
// program. In a cluster, the other servers go on.
func (s *Server) Done() <-chan struct{} { return s.life.Done() }

// Err returns nil while the server works, and later the reason why [Server.Done] is closed:
// [nodebus.ErrClosed] after Close, or an error that is [ErrWrite].
func (s *Server) Err() error { return context.Cause(s.life) }
