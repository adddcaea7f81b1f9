package intake

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"os"
)

// unpacker reads a packed body. It reads nothing of the body before its first Read.
type unpacker struct {
	packed io.ReadCloser
	form   string // gzip or deflate

	in  *bufio.Reader // of packed
	out io.Reader
	err error
}

func (u *unpacker) Read(p []byte) (n int, err error) {
	if u.err == nil && u.out == nil {
		u.in = bufio.NewReader(u.packed)
		u.out, u.err = open(u.in, u.form)
	}
	if u.err == nil {
		n, u.err = u.out.Read(p)
		if errors.Is(u.err, io.EOF) {
			u.err = u.end()
		}
	}
	if u.err != nil && !errors.Is(u.err, io.EOF) {
		u.err = u.reason(u.err)
	}
	return n, u.err
}

// open begins to unpack. An empty body is not a packed body.
func open(in *bufio.Reader, form string) (io.Reader, error) {
	head, err := in.Peek(2)
	if err != nil {
		return nil, noEOF(err)
	}
	switch {
	case form == "gzip":
		return gzip.NewReader(in)
	case head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0: // what the standard means by deflate
		return zlib.NewReader(in)
	}
	return flate.NewReader(in), nil // what some clients mean
}

// end returns io.EOF if nothing follows the packed body. gzip has seen to that itself.
func (u *unpacker) end() error {
	_, err := u.in.ReadByte()
	if err == nil {
		return errors.New("bytes follow the end")
	}
	return err
}

// reason returns the error for the reader of the body.
func (u *unpacker) reason(err error) error {
	var large *http.MaxBytesError
	var corrupt *corruptError
	if errors.As(err, &large) || errors.As(err, &corrupt) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return &corruptError{u.form, noEOF(err)}
}

func (u *unpacker) Close() error { return u.packed.Close() }

// corruptError is the error for a packed body that is not what its encoding says.
type corruptError struct {
	form string
	err  error
}

func (e *corruptError) Error() string {
	return "the body cannot be unpacked with " + e.form + ": " + e.err.Error()
}
func (e *corruptError) Unwrap() error { return e.err }

// noEOF replaces io.EOF: a packed body that ends too early must not look whole.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
