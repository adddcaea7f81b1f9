package picture

import (
	"errors"
	"fmt"
	"io"
)

// ErrFormat means that a file is neither a PNG nor a JPEG file.
var ErrFormat = errors.New("picture: the file is neither a PNG nor a JPEG file")

// Read reads the metadata of a PNG or JPEG file: the texts of a PNG file, and the Exif tags
// of a JPEG file that hold "name:text". It reads r up to the end of the metadata, and a PNG
// file up to its end. It does not decode the image. A file without metadata has an empty
// Metadata. If several texts have the same name, the last one counts. The texts may come
// from anybody: they need not be JSON.
//
// Errors: [ErrFormat]; [ErrTooLong] if the metadata has more than 64 MiB, where each text counts
// 56 bytes more than it has, or if the Exif texts of a JPEG file overlap or are more than 17;
// an error if the file is damaged or ends too early; an error of r.
func Read(r io.Reader) (Metadata, error) {
	var head [8]byte
	n, err := io.ReadFull(r, head[:2])
	if err == nil && string(head[:2]) == signatureJPEG {
		return readJPEG(r)
	}
	if err == nil {
		n, err = io.ReadFull(r, head[2:])
		n += 2
	}
	switch {
	case n < len(head) && (err == io.EOF || err == io.ErrUnexpectedEOF):
		return nil, ErrFormat
	case err != nil:
		return nil, err
	case string(head[:]) != signaturePNG:
		return nil, ErrFormat
	}
	return readPNG(r)
}

// cut returns errCut for the end of the file.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // of io.ReadFull and io.CopyN
		return errCut
	}
	return err
}

// skip reads n bytes.
func skip(r io.Reader, n int64) error {
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

func tooLongToRead() error {
	return fmt.Errorf("picture: the metadata of the file is %w: more than %d bytes", ErrTooLong, metadataMax)
}
