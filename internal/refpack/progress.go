package refpack

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"

	"github.com/nodebus/nodebus"
)

// RefProgressHook reports steps through the older interface of the reference
// server. With Preview it sends a small preview for each step.
type RefProgressHook struct {
	Value   any
	Steps   int     `default:"3" min:"1" max:"100000"`
	Preview string  `options:"none,JPEG,PNG"`
	Delay   float64 `default:"0" min:"0" max:"10"`
}

// Run takes the steps and returns the value.
func (n RefProgressHook) Run(ctx *nodebus.Context) (any, error) {
	for i := range n.Steps {
		ctx.Progress(float64(i+1), float64(n.Steps))
		if n.Preview != "none" {
			if err := preview(ctx, painted{i, 16, 8, n.Preview}); err != nil {
				return nil, err
			}
		}
		if err := wait(ctx, n.Delay); err != nil {
			return nil, err
		}
	}
	return n.Value, nil
}

// steps holds the inputs of the nodes that report steps through the newer interface
// of the reference server.
type steps struct {
	Value   any
	Steps   int  `default:"3" min:"1" max:"100000"`
	Preview bool `default:"false"`
}

func (n steps) run(ctx *nodebus.Context, pause float64) (any, error) {
	for i := range n.Steps {
		ctx.Progress(float64(i+1), float64(n.Steps))
		if n.Preview {
			if err := preview(ctx, painted{i, 512, 256, "JPEG"}); err != nil {
				return nil, err
			}
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
	}
	return n.Value, nil
}

// RefProgressApi pauses 10 ms after each step. It is registered as asynchronous, so
// it runs beside other nodes.
type RefProgressApi struct{ steps }

// Run takes the steps and returns the value.
func (n RefProgressApi) Run(ctx *nodebus.Context) (any, error) { return n.run(ctx, 0.01) }

// RefProgressApiSync does its steps without pauses.
type RefProgressApiSync struct{ steps }

// Run takes the steps and returns the value.
func (n RefProgressApiSync) Run(ctx *nodebus.Context) (any, error) { return n.run(ctx, 0) }

// painted is the preview of a step. Its colour depends on the step. The reference
// server draws it with 32 by 16 pixels and scales it to the size that clients receive.
type painted struct {
	step, width, height int
	format              string
}

// preview sends a picture as a JPEG or PNG file.
func preview(ctx *nodebus.Context, p painted) error {
	img := image.NewRGBA(image.Rect(0, 0, p.width, p.height))
	c := color.RGBA{uint8(p.step * 40), 64, 128, 255}
	draw.Draw(img, img.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	var file bytes.Buffer
	encode := func() error { return jpeg.Encode(&file, img, &jpeg.Options{Quality: 95}) }
	if p.format == "PNG" {
		encode = func() error { return png.Encode(&file, img) }
	}
	if err := encode(); err != nil {
		return err
	}
	return ctx.PreviewFile(file.Bytes())
}
