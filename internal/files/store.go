// Package files stores files under names that clients choose. A store is a folder,
// which no file can leave, or memory.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// ErrFull means that the store has reached its limit of bytes or files.
var ErrFull = errors.New("the store is full")

// Store stores files. Names must have the form that [Clean] returns. A folder
// exists as long as it contains files. A Store is safe for concurrent use. A
// reader always sees the complete content of one write.
type Store interface {
	// FS is for reading. The files that it opens implement io.Seeker.
	fs.FS
	// Write creates a file with this content. If the file exists, Write replaces
	// it; if replace is false, Write returns fs.ErrExist instead. If reading from
	// content fails, Write returns that error and changes nothing.
	Write(name string, content io.Reader, replace bool) error
	// Rename renames a file. replace has the same meaning as for Write.
	Rename(from, to string, replace bool) error
	// Remove deletes a file. It returns fs.ErrNotExist if name does not exist or is a
	// folder.
	Remove(name string) error
}

// errInTheWay returns an error that wraps fs.ErrExist.
func errInTheWay(name string) error {
	return fmt.Errorf("%s: %w", name, fs.ErrExist)
}
