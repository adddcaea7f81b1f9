package site

import (
	"io/fs"
	"slices"
	"strings"
)

// hostFile is a file of the host program, with its path in an fs.FS.
type hostFile struct {
	path  string
	entry fs.DirEntry
}

// hostFiles returns all files in from and its subfolders. It leaves out hidden
// files, hidden folders, and folders that it cannot read.
func hostFiles(from fs.FS) (all []hostFile) {
	_ = fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir():
			all = append(all, hostFile{name, d})
		}
		return nil
	})
	return all
}

// isHidden reports whether a file is hidden, or is in a hidden folder. Who asks for a hidden
// file of a pack or of a folder of models by its name does not receive it either: it may be
// a file of a program, such as .git/config.
func isHidden(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
}

// packFiles returns the files of a pack. A nil pack has no files.
func packFiles(pack fs.FS) []hostFile {
	if pack == nil {
		return nil
	}
	return hostFiles(pack)
}
