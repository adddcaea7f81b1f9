package media

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	"github.com/nodebus/nodebus/picture"
)

// masked returns a PNG with the colours of the picture and the alpha of the mask. The PNG
// has the metadata of the picture, so that it still contains its workflow.
// It returns errSize if they have different sizes.
func masked(from fs.FS, name string, mask io.ReadSeeker) (*bytes.Buffer, error) {
	original, err := readPicture(from, name)
	if err != nil {
		return nil, err
	}
	alpha, err := decodePicture(mask)
	if err != nil {
		return nil, err
	}
	if original.Bounds().Size() != alpha.Bounds().Size() {
		return nil, errSize
	}
	out, by := straight(original), straight(alpha)
	for i := 3; i < len(out.Pix); i += 4 {
		out.Pix[i] = by.Pix[i]
	}
	var body bytes.Buffer
	err = picture.EncodePNG(&body, out, metadata(from, name), nil)
	var refused *picture.MetadataError
	if errors.As(err, &refused) { // a JPEG file allows other names; nothing is written yet
		err = picture.EncodePNG(&body, out, nil, nil)
	}
	return &body, err
}

// metadata returns the metadata of a picture; nil if it cannot be read.
func metadata(from fs.FS, name string) picture.Metadata {
	file, err := from.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	m, err := picture.Read(file)
	if err != nil {
		return nil
	}
	return m
}
