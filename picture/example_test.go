package picture_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/picture"
)

// Image is a picture that nodes pass on.
type Image struct{ *image.RGBA }

// Paint paints a picture.
type Paint struct {
	Size int `default:"64" min:"1" max:"4096"`
}

// Run returns the picture.
func (n Paint) Run(*nodebus.Context) (Image, error) {
	return Image{image.NewRGBA(image.Rect(0, 0, n.Size, n.Size))}, nil
}

// SaveImage saves pictures. When a person drops a saved file into the editor, the workflow
// appears again.
type SaveImage struct {
	Images         nodebus.List[Image]
	FilenamePrefix string `default:"ComfyUI"`

	folder picture.Folder
}

// Run saves each picture in a file of its own.
func (n SaveImage) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	var saved []nodebus.File
	for _, img := range n.Images {
		file, err := n.folder.Create(n.FilenamePrefix, ".png", func(w io.Writer) error {
			return picture.WritePNG(ctx, w, img)
		})
		if err != nil {
			return nil, err
		}
		saved = append(saved, file)
	}
	return nodebus.Images(saved...), nil
}

// A whole node that saves pictures.
func Example() {
	output, err := os.MkdirTemp("", "output")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(output)
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Paint{}, nodebus.Info{})
	flow.Register(r, SaveImage{folder: picture.Folder{Path: output}}, nodebus.Info{})

	g := nodebus.NewGraph()
	img := g.AddAs("1", "Paint", nodebus.Inputs{"size": 8})
	g.AddAs("2", "SaveImage", nodebus.Inputs{"images": img, "filename_prefix": "art/blue"})
	p := &nodebus.Prompt{Nodes: g.Nodes(), Extra: map[string]any{"extra_pnginfo": map[string]any{"workflow": map[string]any{"version": 0.4}}}}
	_, err = flow.Do(context.Background(), flow.NewEngine(r, hub, nil), p)
	fmt.Println(err)

	file, err := os.Open(output + "/art/blue_00001_.png")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	m, err := picture.Read(file)
	fmt.Println(m["workflow"], err)
	// Output:
	// <nil>
	// {"version":0.4} <nil>
}

// A program without a node writes any metadata.
func ExampleEncodeJPEG() {
	var file bytes.Buffer
	err := picture.EncodeJPEG(&file, image.NewGray(image.Rect(0, 0, 8, 8)), picture.Metadata{"prompt": "{}"}, nil)
	fmt.Println(err)
	m, err := picture.Read(&file)
	fmt.Println(m, err)
	// Output:
	// <nil>
	// map[prompt:{}] <nil>
}

// The same for a PNG file.
func ExampleEncodePNG() {
	var file bytes.Buffer
	err := picture.EncodePNG(&file, image.NewGray(image.Rect(0, 0, 8, 8)), picture.Metadata{"Title": "Grau"}, nil)
	fmt.Println(err)
	m, err := picture.Read(&file)
	fmt.Println(m, err)
	// Output:
	// <nil>
	// map[Title:Grau] <nil>
}

// A node that saves to a writer of its own needs one line.
func ExampleWritePNG() {
	var file bytes.Buffer
	ctx := nodebus.NewContext(context.Background(), nodebus.CallInfo{Job: &nodebus.Job{
		Prompt: &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Paint"}}},
	}})
	fmt.Println(picture.WritePNG(ctx, &file, image.NewGray(image.Rect(0, 0, 8, 8))))
	m, err := picture.Read(&file)
	fmt.Println(m["prompt"], err)
	// Output:
	// <nil>
	// {"1":{"class_type":"Paint","inputs":{}}} <nil>
}

// JPEG files have the same metadata, in fewer bytes for the image.
func ExampleWriteJPEG() {
	var file bytes.Buffer
	ctx := nodebus.NewContext(context.Background(), nodebus.CallInfo{Job: &nodebus.Job{
		Prompt: &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Paint"}}},
	}})
	fmt.Println(picture.WriteJPEG(ctx, &file, image.NewGray(image.Rect(0, 0, 8, 8)), nil))
	m, err := picture.Read(&file)
	fmt.Println(m["prompt"], err)
	// Output:
	// <nil>
	// {"1":{"class_type":"Paint","inputs":{}}} <nil>
}

// Create saves any file under the next number.
func ExampleFolder_Create() {
	output, err := os.MkdirTemp("", "output")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(output)
	folder := picture.Folder{Path: output}
	for range 2 {
		file, err := folder.Create("notes/today", ".txt", func(w io.Writer) error {
			_, err := io.WriteString(w, "a note")
			return err
		})
		fmt.Println(file.Subfolder, file.Filename, file.Type, err)
	}
	// Output:
	// notes today_00001_.txt output <nil>
	// notes today_00002_.txt output <nil>
}

// A prefix may have words for the size of the picture and the time.
func ExampleExpand() {
	at := time.Date(2027, time.March, 4, 5, 6, 7, 0, time.UTC)
	fmt.Println(picture.Expand("%year%-%month%-%day%/%width%x%height%", image.Pt(640, 480), at))
	// Output:
	// 2027-03-04/640x480
}
