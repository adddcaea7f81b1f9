package site

import (
	"io/fs"
	"strings"
)

// filesIn returns the paths of all files in from and its subfolders. It leaves out hidden
// files, hidden folders, and folders that it cannot read. A nil from has no files.
func filesIn(from fs.FS) (paths []string) {
	if from == nil {
		return nil
	}
	_ = fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir():
			paths = append(paths, name)
		}
		return nil
	})
	return paths
}
