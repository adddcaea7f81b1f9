package imagenodes

import (
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // registers a format for image.Decode
	_ "image/png"
	"io/fs"

	"github.com/nodebus/nodebus"
)

// Load reads a picture file. The folder is injected when the node is registered.
type Load struct {
	Path  string
	files fs.FS
}

// Validate refuses paths outside the folder. It runs when the prompt is submitted.
func (n Load) Validate(*nodebus.Context) error {
	if !fs.ValidPath(n.Path) {
		return &nodebus.InputError{Input: "path", Err: fmt.Errorf("%q is not a path within the folder", n.Path)}
	}
	return nil
}

// Fingerprint changes when the file changes, so that the node reads the file again.
func (n Load) Fingerprint(*nodebus.Context) (string, error) {
	info, err := fs.Stat(n.files, n.Path)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano()), nil
}

// Run decodes the file.
func (n Load) Run(*nodebus.Context) (Picture, error) {
	f, err := n.files.Open(n.Path)
	if err != nil {
		return Picture{}, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return Picture{}, fmt.Errorf("%s: %w", n.Path, err)
	}
	p := Picture{image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))}
	draw.Draw(p, p.Rect, img, img.Bounds().Min, draw.Src)
	return p, nil
}
