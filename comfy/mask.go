package comfy

import (
	"bytes"
	"image/png"
	"io"
	"io/fs"
)

// masked returns a PNG with the colours of the picture and the alpha of the mask.
// It returns errSize if they have different sizes.
func masked(from fs.FS, name string, mask io.ReadSeeker) (*bytes.Buffer, error) {
	picture, err := readPicture(from, name)
	if err != nil {
		return nil, err
	}
	alpha, err := decodePicture(mask)
	if err != nil {
		return nil, err
	}
	if picture.Bounds().Size() != alpha.Bounds().Size() {
		return nil, errSize
	}
	out, by := straight(picture), straight(alpha)
	for i := 3; i < len(out.Pix); i += 4 {
		out.Pix[i] = by.Pix[i]
	}
	var body bytes.Buffer
	return &body, png.Encode(&body, out)
}
