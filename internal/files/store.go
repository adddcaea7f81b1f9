// Package files keeps files under names that clients give: in a folder, which
// nothing gets out of, or in memory.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// ErrFull is about a store that takes no more.
var ErrFull = errors.New("there is no more room")

// Store keeps files. Names are as [Clean] returns them; folders come and go with
// the files in them. It is safe for concurrent use, and whoever reads a file
// sees all of it as it was at some time.
type Store interface {
	// FS is for reading. Its files are io.Seekers.
	fs.FS
	// Write makes a file of content. If there is one of that name it is replaced
	// or, if replace is false, the error is fs.ErrExist. If content fails its
	// error is returned, and nothing has changed.
	Write(name string, content io.Reader, replace bool) error
	// Rename gives a file another name, on the terms of Write.
	Rename(from, to string, replace bool) error
	// Remove deletes a file. The error is fs.ErrNotExist for a folder too.
	Remove(name string) error
}

// errInTheWay is an fs.ErrExist.
func errInTheWay(name string) error {
	return fmt.Errorf("%s: %w", name, fs.ErrExist)
}
