// Package media serves the files of the input, output and temp folders: it sends files and
// pictures, and stores uploads and masks.
package media

import (
	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/internal/files"
)

// Media serves the routes of files. Use [New] to make a Media.
type Media struct {
	Folders
	MaxBody int64 // of an upload, in bytes; for the text of an answer

	sender   content.Sender
	pictures slots
}

// Folders are the folders with files. An empty path is a folder without files, which takes
// no uploads.
type Folders struct {
	Input, Output, Temp string
}

// New returns a Media.
func New(folders Folders, maxBody int64, sender content.Sender) *Media {
	return &Media{Folders: folders, MaxBody: maxBody, sender: sender, pictures: make(slots, picturesMax)}
}

// folder returns the folder for a type of files, as clients name it: input, output
// or temp.
func (f *Folders) folder(typ string) (_ files.Folder, ok bool) {
	switch typ {
	case "input":
		return files.Folder(f.Input), true
	case "output":
		return files.Folder(f.Output), true
	case "temp":
		return files.Folder(f.Temp), true
	}
	return "", false
}
