//go:build e2e

package e2e

import (
	"os"
	"path/filepath"

	"github.com/nodebus/nodebus"
)

// Vector saves a drawing in the format SVG.
type Vector struct {
	folder string
}

// Run draws a circle.
func (n Vector) Run(*nodebus.Context) (nodebus.UI, error) {
	const circle = `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="150"><circle cx="100" cy="75" r="60" fill="orange"/></svg>`
	err := os.WriteFile(filepath.Join(n.folder, "circle.svg"), []byte(circle), 0o600)
	return nodebus.Images(nodebus.File{Filename: "circle.svg", Type: "output"}), err
}
