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

// Folder is a store in a folder of the file system. The folder is created on the
// first write. Symbolic links work if they lead to a place inside the folder. The
// Folder "" has no files, and its writes fail with fs.ErrPermission.
type Folder string

var _ interface {
	Store
	fs.StatFS
} = Folder("")

// stagedPrefix begins the names of files that are not completely written yet.
const stagedPrefix = ".staged-"

// Staged reports whether name belongs to a file that is not completely written yet.
func Staged(name string) bool { return strings.HasPrefix(path.Base(name), stagedPrefix) }

// root opens the folder for reading name.
func (f Folder) root(name string) (*os.Root, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if f == "" {
		return nil, notExist(name)
	}
	return os.OpenRoot(string(f))
}

// in creates the folder if it does not exist, and calls use with it.
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

// named translates errors of the operating system into the errors of this package.
func named(root *os.Root, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	case errors.Is(err, syscall.ENAMETOOLONG): // some systems accept shorter names than Clean
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	// The os package exports no error for a path that leaves a Root. So make one.
	if _, escape := root.Lstat(".."); errors.Is(err, errors.Unwrap(escape)) {
		return fmt.Errorf("%w: %w", ErrOutside, err)
	}
	return err
}

// notFound is like named, but the caller reads: if a file or a link loop is in the
// way, the file does not exist.
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
	if !info.IsDir() && !info.Mode().IsRegular() { // opening a pipe would block
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

// Write writes content to a temporary file and renames the file when it is complete.
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

// isFile returns nil if name exists and is not a folder.
func isFile(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err == nil && info.IsDir() {
		return notExist(name)
	}
	return err
}

func notExist(name string) error { return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} }

// staged writes content to a temporary file and calls use with the name of this
// file. If writing or use fails, staged removes the file.
func staged(root *os.Root, content io.Reader, use func(temp string) error) error {
	temp := stagedPrefix + rand.Text()
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync() // before the rename: after a crash there is the old file or the new file
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

// move renames a file atomically. On a file system without hard links, a move that
// must not replace is not atomic.
func move(root *os.Root, from, to string, replace bool) error {
	err := tryMove(root, from, to, replace)
	if errors.Is(err, syscall.EINVAL) { // for example a colon on a disk with the file system VFAT
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	return err
}

func tryMove(root *os.Root, from, to string, replace bool) error {
	dir := path.Dir(to)
	if err := root.MkdirAll(dir, 0o700); err != nil {
		if _, there := root.Stat(dir); there != nil && errors.Is(err, fs.ErrExist) {
			return there // some versions of Go return fs.ErrExist for a folder that leads outside
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
	// The file system may have no hard links.
	switch _, err := root.Lstat(to); {
	case err == nil:
		return errInTheWay(to)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return root.Rename(from, to)
}
