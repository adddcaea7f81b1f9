package imagenodes

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/picture"
)

// Palette is a custom message of this package. It contains a node id and the mean
// colour that the node found.
type Palette struct {
	Node   string `json:"node"`
	Colour string `json:"colour"`
}

// EventType returns the name of the message on the wire.
func (Palette) EventType() string { return "picture.palette" }

// Description holds the output of Describe, and the same text for clients to show.
type Description struct {
	Text string `out:"text"`
	UI   nodebus.UI
}

// Describe describes a picture in words.
type Describe struct{ Picture Picture }

// Run sends the mean colour to the client that submitted the prompt.
func (n Describe) Run(ctx *nodebus.Context) (Description, error) {
	size := n.Picture.Rect.Size()
	c := n.Picture.mean(0, 0, size.X, size.Y)
	colour := fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
	if err := ctx.SendSync(Palette{Node: ctx.UniqueID(), Colour: colour}); err != nil {
		return Description{}, err
	}
	text := fmt.Sprintf("%d×%d pixels, on average %s", size.X, size.Y, colour)
	return Description{text, nodebus.Text(text)}, nil
}

// Save writes a picture as a PNG file and shows it.
type Save struct {
	Picture Picture
	Name    string `default:"picture"`
	folder  string
}

// Validate refuses names that contain a folder.
func (n Save) Validate(*nodebus.Context) error {
	if n.Name == "" || n.Name != filepath.Base(n.Name) || n.Name == "." || n.Name == ".." {
		return &nodebus.InputError{Input: "name", Err: fmt.Errorf("%q is not the name of a file", n.Name)}
	}
	return nil
}

// Run writes the file, with the workflow inside.
func (n Save) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	if err := os.MkdirAll(n.folder, 0o755); err != nil {
		return nil, err
	}
	name := n.Name + ".png"
	f, err := os.Create(filepath.Join(n.folder, name))
	if err != nil {
		return nil, err
	}
	err = picture.WritePNG(ctx, f, n.Picture)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return nodebus.Images(nodebus.File{Filename: name, Type: "output"}), err
}
