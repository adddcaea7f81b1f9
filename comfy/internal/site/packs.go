package site

import (
	"io/fs"
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

// packFiles returns the files of a pack. A nil pack has no files.
func packFiles(pack fs.FS) []hostFile {
	if pack == nil {
		return nil
	}
	return hostFiles(pack)
}
