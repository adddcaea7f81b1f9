package bolt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nodebus/nodebus"
	"go.etcd.io/bbolt"
)

// Backup writes a copy of the file to w, as the file is at one moment, while the DB is in
// use. The copy is a file for [Open]. It has what calls had written when Backup began. Open
// a copy that takes the place of the file with Options.Restored.
//
// Backup copies the file to a temporary file first, and that one to w. So w may be slow, and
// may use the DB. The temporary file is beside the file, or in [os.TempDir] if it cannot be
// there. It is as large as the file, and Backup removes it at the end. While Backup makes it,
// the file grows if much changes, and other calls may wait. Backup may be called several
// times at once; each call needs its own room.
//
// The error is an error of w, [nodebus.ErrClosed], or a [*FileError]. What was written before an
// error is no file. Close waits until the temporary file is made, and not for w.
func (d *DB) Backup(w io.Writer) error {
	temp, err := d.copyFile()
	if err != nil {
		return err
	}
	defer discard(temp)
	if _, err := io.Copy(&protected{w: w}, temp); err != nil {
		return fmt.Errorf("bolt: writing a backup of %s: %w", d.path, err)
	}
	return nil
}

// copyFile copies the file, and returns the copy at its beginning. A transaction must not
// wait for the writer of Backup: it can keep bbolt from all other work.
func (d *DB) copyFile() (temp *os.File, err error) {
	for _, dir := range []string{filepath.Dir(d.path), os.TempDir()} {
		if temp, err = d.copyTo(dir); !errors.Is(err, ErrWrite) {
			break
		}
	}
	return temp, err
}

func (d *DB) copyTo(dir string) (*os.File, error) {
	temp, err := os.CreateTemp(dir, filepath.Base(d.path)+".*.copy")
	if err != nil {
		return nil, d.copyError(err)
	}
	_ = os.Remove(temp.Name()) // Unix keeps it until it is closed, so that a crash leaves nothing
	to := protected{w: temp}
	err = d.view(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(&to)
		return err
	})
	if err == nil {
		if _, err = temp.Seek(0, io.SeekStart); err == nil {
			return temp, nil
		}
	}
	discard(temp)
	var known *FileError
	switch {
	case to.err != nil:
		return nil, d.copyError(to.err)
	case errors.As(err, &known) || errors.Is(err, nodebus.ErrClosed):
		return nil, err
	}
	return nil, &FileError{Path: d.path, Detail: "it cannot be copied", Err: err}
}

func (d *DB) copyError(err error) error {
	return &FileError{Path: d.path, Reason: ErrWrite, Detail: "a backup needs a temporary copy, as large as the file; look for room on the disk, then try again", Err: err}
}

// discard removes a temporary file.
func discard(temp *os.File) {
	_ = temp.Close()
	_ = os.Remove(temp.Name())
}

// protected keeps the error of a writer apart from the errors of the file. A panic of the
// writer is an error, too.
type protected struct {
	w   io.Writer
	err error
}

func (p *protected) Write(b []byte) (n int, err error) {
	p.err = nodebus.Protect(func() error {
		n, err = p.w.Write(b)
		return err
	})
	return n, p.err
}
