package refpack

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/picture"
)

// Image is a batch of pictures with the same size. Samples are between 0 and 1.
type Image struct {
	Width, Height int
	Batch         [][]RGB // the pixels of each picture, row by row
}

// RGB is one pixel.
type RGB [3]float64

// picture returns picture i of the batch with 8 bits per sample. Samples outside
// the range from 0 to 1 are clamped.
func (img Image) picture(i int) *image.NRGBA {
	p := image.NewNRGBA(image.Rect(0, 0, img.Width, img.Height))
	for k, px := range img.Batch[i] {
		p.SetNRGBA(k%img.Width, k/img.Width, color.NRGBA{eightBits(px[0]), eightBits(px[1]), eightBits(px[2]), 255})
	}
	return p
}

func eightBits(sample float64) uint8 { return uint8(min(max(sample*255, 0), 255)) }

// RefImage returns one picture in a shade of grey.
type RefImage struct {
	Value  float64 `default:"0.5"`
	Width  int     `default:"8"`
	Height int     `default:"8"`
}

// Run returns the picture.
func (n RefImage) Run(*nodebus.Context) (Image, error) {
	if n.Width < 1 || n.Height < 1 {
		return Image{}, fmt.Errorf("no picture is %d by %d", n.Width, n.Height)
	}
	pixels := make([]RGB, n.Width*n.Height)
	for i := range pixels {
		pixels[i] = RGB{n.Value, n.Value, n.Value}
	}
	return Image{n.Width, n.Height, [][]RGB{pixels}}, nil
}

// PreviewImage shows pictures. Their files are temporary.
type PreviewImage struct {
	Images       Image
	Prompt       nodebus.Nodes `hidden:"PROMPT"`
	ExtraPNGInfo any           `in:"extra_pnginfo" hidden:"EXTRA_PNGINFO"`

	folder string
}

// Run writes the pictures and shows them.
func (n PreviewImage) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	prefix := []byte("ComfyUI_temp_?????")
	for i := len(prefix) - 5; i < len(prefix); i++ {
		prefix[i] = 'a' + byte(rand.IntN(26))
	}
	return write(ctx, n.Images, n.folder, string(prefix), "temp", png.BestSpeed)
}

// SaveImage shows pictures and keeps their files.
type SaveImage struct {
	Images         Image         `tip:"What to save."`
	FilenamePrefix string        `default:"ComfyUI" tip:"What the names of the files begin with."`
	Prompt         nodebus.Nodes `hidden:"PROMPT"`
	ExtraPNGInfo   any           `in:"extra_pnginfo" hidden:"EXTRA_PNGINFO"`

	folder string
}

// Run writes the pictures and shows them.
func (n SaveImage) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	return write(ctx, n.Images, n.folder, n.FilenamePrefix, "output", png.DefaultCompression)
}

// write writes each picture to its own file, <prefix>_<number>_.png, and returns
// the UI value that shows the files. typ is the folder type that clients see.
func write(ctx *nodebus.Context, img Image, folder, prefix, typ string, level png.CompressionLevel) (nodebus.UI, error) {
	meta, err := picture.MetadataOf(ctx)
	if err != nil {
		return nil, err
	}
	files := make([]nodebus.File, len(img.Batch))
	for i := range img.Batch {
		files[i], err = picture.Folder{Path: folder, Type: typ}.Create(prefix, ".png", func(w io.Writer) error {
			return picture.EncodePNG(w, img.picture(i), meta, &png.Encoder{CompressionLevel: level})
		})
		if err != nil {
			return nil, err
		}
	}
	return nodebus.Images(files...), nil
}
