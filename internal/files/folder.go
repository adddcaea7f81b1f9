package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// Folder is a store in a folder of the file system, which is made when there is
// something to keep. Symbolic links work as long as they stay inside. The empty
// Folder has no files and takes none.
type Folder string

var _ interface {
	Store
	fs.StatFS
} = Folder("")

// stagedPrefix begins the names of files that are not complete yet.
const stagedPrefix = ".staged-"

// Staged reports whether a file is one that is only being written.
func Staged(name string) bool { return strings.HasPrefix(path.Base(name), stagedPrefix) }

// root opens the folder for something to be read.
func (f Folder) root(name string) (*os.Root, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if f == "" {
		return nil, notExist(name)
	}
	return os.OpenRoot(string(f))
}

// in calls use with the folder, which it makes if need be.
func (f Folder) in(use func(root *os.Root) error) error {
	if f == "" {
		return fs.ErrPermission
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return named(root, use(root))
}

// named turns the errors of the system into ours.
func named(root *os.Root, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	case errors.Is(err, syscall.ENAMETOOLONG): // there are systems that take less than Clean does
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	// The error for leaving a Root has no name, but can be asked for.
	if _, escape := root.Lstat(".."); errors.Is(err, errors.Unwrap(escape)) {
		return fmt.Errorf("%w: %w", ErrOutside, err)
	}
	return err
}

// notFound is named for reading, where what is in the way of a file means that
// there is none.
func notFound(root *os.Root, name string, err error) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return notExist(name)
	}
	return named(root, err)
}

// Open opens a file or folder for reading.
func (f Folder) Open(name string) (fs.File, error) {
	root, err := f.root(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(name)
	if err != nil {
		return nil, notFound(root, name, err)
	}
	if !info.IsDir() && !info.Mode().IsRegular() { // to open a pipe is to wait
		return nil, notExist(name)
	}
	file, err := root.FS().Open(name)
	return file, notFound(root, name, err)
}

// Stat describes a file or folder.
func (f Folder) Stat(name string) (fs.FileInfo, error) {
	root, err := f.root(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(name)
	return info, notFound(root, name, err)
}

// Write keeps content under a name of its own until it is complete.
func (f Folder) Write(name string, content io.Reader, replace bool) error {
	return f.in(func(root *os.Root) error {
		return staged(root, content, func(temp string) error { return move(root, temp, name, replace) })
	})
}

// Rename moves a file, or a symbolic link.
func (f Folder) Rename(from, to string, replace bool) error {
	return f.in(func(root *os.Root) error {
		if err := isFile(root, from); err != nil {
			return err
		}
		return move(root, from, to, replace)
	})
}

// Remove deletes a file, or a symbolic link.
func (f Folder) Remove(name string) error {
	return f.in(func(root *os.Root) error {
		if err := isFile(root, name); err != nil {
			return err
		}
		return root.Remove(name)
	})
}

// isFile returns an error unless there is something of that name that is no
// folder.
func isFile(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err == nil && info.IsDir() {
		return notExist(name)
	}
	return err
}

func notExist(name string) error { return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} }

// staged writes content to a file without a name that means something, and hands
// that to use. If either fails nothing is left of it.
func staged(root *os.Root, content io.Reader, use func(temp string) error) error {
	temp := stagedPrefix + rand.Text()
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync() // before the name: a crash leaves the old file or the new one
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = use(temp)
	}
	if err != nil {
		_ = root.Remove(temp)
	}
	return err
}

// move gives a file another name, in one step.
func move(root *os.Root, from, to string, replace bool) error {
	dir := path.Dir(to)
	if err := root.MkdirAll(dir, 0o700); err != nil {
		if _, there := root.Stat(dir); there != nil && errors.Is(err, fs.ErrExist) {
			return there // some versions of Go do not say that it leads outside
		}
		return err
	}
	if replace {
		return root.Rename(from, to)
	}
	err := root.Link(from, to)
	if err == nil {
		return root.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	// There are file systems without hard links.
	switch _, err := root.Lstat(to); {
	case err == nil:
		return errInTheWay(to)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return root.Rename(from, to)
}
