package bolt

import (
	"errors"
	"fmt"
)

// The reasons of a [*FileError], for errors.Is.
var (
	// ErrInUse is the reason if another process, or another DB of this process, has the
	// file open.
	ErrInUse = errors.New("the file is in use")
	// ErrNewer is the reason if a newer version of this package has written the file.
	ErrNewer = errors.New("the file has a newer version")
	// ErrForeign is the reason if the file was not made by this package.
	ErrForeign = errors.New("the file is no file of nodebus")
	// ErrDamaged is the reason if the file was made by this package, and parts of it are
	// missing or wrong.
	ErrDamaged = errors.New("the file is damaged")
	// ErrKey is the reason if the file has secrets that the secret key of [Options] does not
	// open. If the key is lost, Options.DropSecrets is the mend.
	ErrKey = errors.New("the secret key does not fit the file")
	// ErrWrite is the reason if the disk has not taken what was to be written, for example
	// because it is full. The file has what it had before.
	ErrWrite = errors.New("the file cannot be written")
)

// FileError is an error of the file of a [DB]. Its text names the file, what is wrong, and
// the mend. errors.Is finds the reason, for example [ErrInUse], and the error of the
// operating system, if there is one.
type FileError struct {
	Path   string // the path given to Open
	Reason error  // one of the errors of this package, for example ErrInUse; nil if none of them fits
	Detail string // what was found, and the mend
	Err    error  // the error of the operating system or of bbolt; may be nil
}

// Error returns one line: path, reason, detail and cause.
func (e *FileError) Error() string {
	text := fmt.Sprintf("bolt: %s: ", e.Path)
	if e.Reason != nil {
		text += e.Reason.Error() + ": "
	}
	text += e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the reason and the cause.
func (e *FileError) Unwrap() (errs []error) {
	for _, err := range []error{e.Reason, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
