//go:build unix && !openbsd && !netbsd && !illumos && !solaris

package embed

import "syscall"

// available returns how many bytes the disk of a directory has left; 0 if that is not known.
func available(dir string) int64 {
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil {
		return 0
	}
	return int64(uint64(fs.Bavail) * uint64(fs.Bsize)) //nolint:unconvert // other systems have other types
}
