// Package imagenodes is a small library of nodes that work on pictures, with
// nothing but the standard library's image packages. The examples share it; it
// also shows how a program keeps its nodes: a file for each kind, and one
// function that registers them all.
package imagenodes

import (
	"image"
	"io/fs"

	"github.com/nodebus/nodebus"
)

// Picture is what travels between the nodes. Its port type, PICTURE, is made of
// the Go type's name.
type Picture struct{ *image.RGBA }

// Folders are where pictures come from and go to.
type Folders struct {
	In  fs.FS  // that Load reads from
	Out string // that Save writes to
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

// fresh makes a picture of the same size.
func (p Picture) fresh() Picture { return Picture{image.NewRGBA(p.Rect)} }
