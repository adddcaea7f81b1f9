// Package imagenodes is a small library of nodes for pictures. It uses only the image
// packages of the standard library. The examples share it. It also shows how a program
// can organize its nodes: one file for each kind of node, and one function that
// registers all nodes.
package imagenodes

import (
	"image"
	"io/fs"

	"github.com/nodebus/nodebus"
)

// Picture is the value that nodes pass to each other. Its port type, PICTURE, comes
// from the name of the Go type.
type Picture struct{ *image.RGBA }

// Folders holds the folders for pictures.
type Folders struct {
	In  fs.FS  // Load reads from it
	Out string // Save writes to it
}

// Register adds all nodes to r.
func Register(r *nodebus.Registry, f Folders) {
	nodebus.Register(r, Load{files: f.In}, nodebus.Info{Category: "picture", Title: "Load Picture"})
	nodebus.Register(r, Resize{}, nodebus.Info{Category: "picture"})
	nodebus.Register(r, Blur{}, nodebus.Info{Category: "picture/filter"})
	nodebus.Register(r, Blend{}, nodebus.Info{Category: "picture"})
	nodebus.Register(r, Vignette{}, nodebus.Info{Category: "picture/filter"})
	nodebus.Register(r, Grayscale{}, nodebus.Info{Category: "picture/filter"})
	nodebus.Register(r, Switch{}, nodebus.Info{Category: "logic"})
	nodebus.Register(r, Describe{}, nodebus.Info{Category: "picture", Output: true})
	nodebus.Register(r, Save{folder: f.Out}, nodebus.Info{Category: "picture", Title: "Save Picture"})
}

// fresh returns an empty picture of the same size.
func (p Picture) fresh() Picture { return Picture{image.NewRGBA(p.Rect)} }
