package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nodebus/nodebus/comfy"
)

// options returns the options of the server: folders below data, one of them with a
// first picture, the extension, an example workflow and, if frontend is not empty, the
// official front end.
func options(data, frontend string) (*comfy.Options, error) {
	opts := &comfy.Options{
		Input:      filepath.Join(data, "input"),
		Output:     filepath.Join(data, "output"),
		Temp:       filepath.Join(data, "temp"),
		Data:       filepath.Join(data, "user"),
		Extensions: map[string]fs.FS{"example": sub("extension")},
		Templates:  map[string]fs.FS{"example": sub("page")}, // in the API format
	}
	if frontend != "" {
		opts.Frontend = os.DirFS(frontend)
		opts.Templates["example"] = sub("frontend") // with the positions of the nodes
		first, err := files.ReadFile("files/frontend/painting.json")
		if err != nil {
			return nil, err
		}
		opts.Workflow = first // the front end's own has nodes that this program does not have
		if _, err := fs.Stat(opts.Frontend, "index.html"); err != nil {
			return nil, fmt.Errorf("no front end: the folder of -frontend has no index.html: %w", err)
		}
	}
	for _, folder := range []string{opts.Input, opts.Output, opts.Temp} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	return opts, addPicture(filepath.Join(opts.Input, "picture.jpg"))
}

// addPicture writes the picture to a file, unless the file exists.
func addPicture(name string) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	picture, err := files.ReadFile("files/picture.jpg")
	if err != nil {
		return err
	}
	return os.WriteFile(name, picture, 0o644)
}

// sub returns a folder of the embedded files.
func sub(name string) fs.FS {
	folder, err := fs.Sub(files, "files/"+name)
	if err != nil {
		panic(err) // the name is not a valid path
	}
	return folder
}
