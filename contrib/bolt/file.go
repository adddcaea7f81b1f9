package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// makeFile makes the file if there is none. The file appears whole: it is made under
// another name first, so that a crash leaves no half of a file.
func makeFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return &FileError{Path: path, Detail: "it cannot be looked at; check the path and the rights", Err: err}
	case info.IsDir():
		return &FileError{Path: path, Reason: ErrForeign, Detail: "it is a directory; give the path of a file in it"}
	case !info.Mode().IsRegular():
		return &FileError{Path: path, Reason: ErrForeign, Detail: "it is no regular file; give another path"}
	case info.Mode().Perm()&0o222 == 0:
		return &FileError{Path: path, Reason: ErrWrite, Detail: "it is read-only; make it writable for this process", Err: fs.ErrPermission}
	default:
		return nil
	}
	cannot := func(err error) error {
		return &FileError{Path: path, Reason: ErrWrite, Detail: "it cannot be made; the directory must exist and be writable, and the disk must have room", Err: err}
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return cannot(err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	if err := temp.Close(); err != nil {
		return cannot(err)
	}
	if err := fillFile(temp.Name()); err != nil {
		return cannot(err)
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) { // fs.ErrExist: another process was quicker
		if err := os.Rename(temp.Name(), path); err != nil { // a file system without links
			return cannot(err)
		}
	}
	syncDir(filepath.Dir(path))
	return nil
}

// fillFile makes an empty file of the current version.
func fillFile(path string) error {
	db, err := bbolt.Open(path, 0o600, boltOptions(time.Second))
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyVersion, binary.BigEndian.AppendUint32(nil, version))
	})
	return errors.Join(err, db.Close())
}

// syncDir makes the name of a new file durable. Some systems cannot synchronize a
// directory, and do not need it.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

func boltOptions(timeout time.Duration) *bbolt.Options {
	if timeout < 0 {
		timeout = 1 // bbolt waits for ever if it is 0
	}
	return &bbolt.Options{Timeout: timeout, FreelistType: bbolt.FreelistMapType, NoStatistics: true}
}

// checkFile looks at the file before bbolt does. Another process may be writing it, so a
// fault counts only if it is there again and again.
func checkFile(path string) (err error) {
	for range 3 {
		f, opening := os.Open(path)
		if opening != nil {
			return &FileError{Path: path, Detail: "it cannot be opened; check the rights", Err: opening}
		}
		_, err = checkHead(f)
		_ = f.Close()
		if err == nil {
			return nil
		}
	}
	return asFileError(path, err)
}

// checkLocked looks at all pages of a file that no other process can write.
func checkLocked(path string, f *os.File) error {
	c, err := checkHead(f)
	if err == nil {
		err = c.checkTree()
	}
	return asFileError(path, err)
}

func asFileError(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoBolt):
		return &FileError{Path: path, Reason: ErrForeign, Detail: err.Error() + "; give another path, or restore it from a backup if it was one"}
	}
	return damaged(path, err.Error())
}

// tellAfter is how long Open waits for another process before it tells the logger.
const tellAfter = time.Second

// openBolt opens the file. bbolt maps the file into memory and trusts its pages, so
// openBolt looks at them before. It calls waits if another process has the file for a while.
func openBolt(path string, timeout time.Duration, waits func()) (db *bbolt.DB, opened *os.File, err error) {
	if err := checkFile(path); err != nil {
		return nil, nil, err
	}
	db, opened, err = lockBolt(path, min(timeout, tellAfter))
	if timeout > tellAfter && errors.Is(err, berrors.ErrTimeout) {
		waits()
		db, opened, err = lockBolt(path, timeout-tellAfter)
	}
	if err == nil {
		if err := checkLocked(path, opened); err != nil {
			_ = db.Close()
			return nil, nil, err
		}
		return db, opened, nil
	}
	var known *FileError
	switch {
	case errors.As(err, &known) && opened != nil: // bbolt has panicked, and has not closed the file
		_ = opened.Close()
		return nil, nil, err
	case errors.Is(err, berrors.ErrTimeout):
		return nil, nil, &FileError{Path: path, Reason: ErrInUse, Detail: "one process at a time can open it; end the other process, or use another file"}
	case errors.Is(err, berrors.ErrInvalid):
		return nil, nil, &FileError{Path: path, Reason: ErrForeign, Detail: "give another path", Err: err}
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, &FileError{Path: path, Reason: ErrWrite, Detail: "this process may not write it; check the rights", Err: err}
	}
	return nil, nil, &FileError{Path: path, Reason: ErrDamaged, Detail: mendDamage, Err: err}
}

// lockBolt waits until no other process has the file, and opens it with bbolt. After an error,
// opened may be a file.
func lockBolt(path string, timeout time.Duration) (db *bbolt.DB, opened *os.File, err error) {
	opts := boltOptions(timeout)
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		opened, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
		return opened, err
	}
	err = guard(path, func() (err error) {
		db, err = bbolt.Open(path, 0o600, opts)
		return err
	})
	return db, opened, err
}

// checkVersion looks whether this package can use the file.
func checkVersion(db *bbolt.DB, path string) error {
	return db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			return &FileError{Path: path, Reason: ErrForeign, Detail: "another program has made it with bbolt; give another path"}
		}
		text := meta.Get(keyVersion)
		if len(text) != 4 {
			return damaged(path, "it has no version")
		}
		if v := binary.BigEndian.Uint32(text); v > version {
			return &FileError{Path: path, Reason: ErrNewer, Detail: fmt.Sprintf(
				"it has version %d, and this program knows versions up to %d; start the newer program again, or use a backup of version %d", v, version, version)}
		}
		for _, name := range buckets {
			if tx.Bucket(name) == nil {
				return damaged(path, fmt.Sprintf("the bucket %q is missing", name))
			}
		}
		return nil
	})
}
