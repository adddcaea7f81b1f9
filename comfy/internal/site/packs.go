package site

import (
	"io/fs"
	"slices"
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

// isHidden reports whether a file is hidden, or is in a hidden folder. Who asks for a hidden
// file of a pack or of a folder of models by its name does not receive it either: it may be
// a file of a program, such as .git/config.
func isHidden(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
}
