package bolt

import (
	"errors"
	"fmt"
	"io"

	"github.com/nodebus/nodebus"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Backup writes a copy of the file to w, as the file is at one moment, while the DB is in
// use. The copy is a file for [Open]. It has what calls had written when Backup began. Open
// a copy that takes the place of the file with Options.Restored.
//
// As long as Backup writes, the pages of this moment stay in the file, so that it grows if
// much changes meanwhile. So write to a file on a disk, not to a slow network. Backup may
// be called several times at once.
//
// The error is an error of w, [nodebus.ErrClosed], or a [*FileError]. What was written before an
// error is no file. Close waits until Backup has ended.
func (d *DB) Backup(w io.Writer) error {
	to := protected{w: w}
	if err := d.usable(false); err != nil {
		return err
	}
	err := guard(d.path, func() error {
		return d.db.View(func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(&to)
			return err
		})
	})
	switch {
	case to.err != nil:
		return fmt.Errorf("bolt: writing a backup of %s: %w", d.path, to.err)
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return nodebus.ErrClosed
	}
	return err
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
