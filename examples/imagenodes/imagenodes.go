// Package imagenodes is a small library of nodes for pictures. It uses only the image
// packages of the standard library. The examples share it. It also shows how a program
// can organize its nodes: one file for each kind of node, and one function that
// registers all nodes.
package imagenodes

import (
	"image"
	"io/fs"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Picture is the value that nodes pass to each other. Its port type, PICTURE, comes
// from the name of the Go type.
type Picture struct{ *image.RGBA }

// Folders holds the folders for pictures.
type Folders struct {
	In  fs.FS  // Load reads from it
	Out string // Save writes to it
}

// Register adds all nodes to r. It also keeps workflows running that have the node Soften: Blur
// takes its place.
func Register(r *flow.Registry, f Folders) {
	flow.Register(r, Load{files: f.In}, nodebus.Info{Category: "picture", Title: "Load Picture"})
	flow.Register(r, Resize{}, nodebus.Info{Category: "picture"})
	flow.Register(r, Blur{}, nodebus.Info{Category: "picture/filter", Help: blurHelp})
	flow.Register(r, Blend{}, nodebus.Info{Category: "picture"})
	flow.Register(r, Vignette{}, nodebus.Info{Category: "picture/filter"})
	flow.Register(r, Grayscale{}, nodebus.Info{Category: "picture/filter"})
	flow.Register(r, Switch{}, nodebus.Info{Category: "logic"})
	flow.Register(r, Describe{}, nodebus.Info{Category: "picture", Output: true})
	flow.Register(r, Save{folder: f.Out}, nodebus.Info{Category: "picture", Title: "Save Picture"})
	err := r.AddReplacement(flow.Replacement{
		Old: "Soften", New: "Blur", Widgets: []string{"size"},
		Inputs: []flow.ReplacedInput{{New: "picture", Old: "picture"}, {New: "radius", Old: "size"}},
	})
	if err != nil { // the replacement is wrong, as a tag can be
		panic(err)
	}
}

// fresh returns an empty picture of the same size.
func (p Picture) fresh() Picture { return Picture{image.NewRGBA(p.Rect)} }
