package comfy

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

// modelFolders answers GET /models with the names of the model folders.
func (s *Server) modelFolders(w http.ResponseWriter, _ *http.Request) {
	names := sortedKeys(s.opts.Models)
	if names == nil {
		names = []string{}
	}
	answer(w, http.StatusOK, names)
}

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

// models returns the model folder that the path of the request names. If ok is
// false, models has already answered.
func (s *Server) models(w http.ResponseWriter, r *http.Request) (from fs.FS, ok bool) {
	from, ok = s.opts.Models[r.PathValue("folder")]
	if !ok || from == nil {
		fail(w, http.StatusNotFound, "there is no model folder with this name")
		return nil, false
	}
	return from, true
}

// modelFiles answers GET /models/{folder} with the paths of the files.
func (s *Server) modelFiles(w http.ResponseWriter, r *http.Request) {
	from, ok := s.models(w, r)
	if !ok {
		return
	}
	names := []string{}
	for _, f := range hostFiles(from) {
		names = append(names, f.path)
	}
	answer(w, http.StatusOK, names)
}

// embeddings answers GET /embeddings with the names of the embeddings. A name has
// no extension, because users write it like that in a prompt text.
func (s *Server) embeddings(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	if from := s.opts.Models["embeddings"]; from != nil {
		for _, f := range hostFiles(from) {
			names = append(names, strings.TrimSuffix(f.path, path.Ext(f.path)))
		}
	}
	answer(w, http.StatusOK, names)
}

// experimentFolders answers GET /experiment/models. It does not show where a
// folder is on the machine: it shows a path that it makes from the name.
func (s *Server) experimentFolders(w http.ResponseWriter, _ *http.Request) {
	list := []object{}
	for _, name := range sortedKeys(s.opts.Models) {
		list = append(list, object{{"name", name}, {"folders", []string{"models/" + name}}})
	}
	answer(w, http.StatusOK, list)
}

// experimentFiles answers GET /experiment/models/{folder} with the size and the
// time of each file.
func (s *Server) experimentFiles(w http.ResponseWriter, r *http.Request) {
	from, ok := s.models(w, r)
	if !ok {
		return
	}
	list := []object{}
	for _, f := range hostFiles(from) {
		info, err := fs.Stat(from, f.path)
		if err != nil {
			continue
		}
		at := seconds(info)
		list = append(list, object{{"name", f.path}, {"pathIndex", 0}, {"modified", at}, {"created", at}, {"size", info.Size()}})
	}
	answer(w, http.StatusOK, list)
}

// folderPaths answers GET /internal/folder_paths. It hides the real paths, as
// experimentFolders does.
func (s *Server) folderPaths(w http.ResponseWriter, _ *http.Request) {
	paths := map[string][]string{}
	for name := range s.opts.Models {
		paths[name] = []string{"models/" + name}
	}
	answer(w, http.StatusOK, paths)
}

// modelMetadata answers GET /view_metadata/{folder} with the metadata that a
// .safetensors file contains.
func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) {
	from, ok := s.models(w, r)
	if !ok {
		return
	}
	name, err := files.Clean(r.URL.Query().Get("filename"))
	if err == nil && path.Ext(name) != ".safetensors" {
		err = errNoMetadata
	}
	var metadata map[string]json.RawMessage
	if err == nil {
		metadata, err = readMetadata(from, name)
	}
	if err != nil {
		fail(w, http.StatusNotFound, errNoMetadata.Error())
		return
	}
	answer(w, http.StatusOK, metadata)
}

// metadataMax is the maximum size of a safetensors header, in bytes.
const metadataMax = 8 << 20

var errNoMetadata = errors.New("there is no .safetensors file with this name and with metadata")

// readMetadata reads the header of a safetensors file: a length of eight bytes,
// little-endian, and then JSON of that length. The JSON has the metadata in its
// member __metadata__. If there is none, the error is errNoMetadata.
func readMetadata(from fs.FS, name string) (map[string]json.RawMessage, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errNoMetadata
	}
	var size uint64
	if err := binary.Read(f, binary.LittleEndian, &size); err != nil || size > metadataMax {
		return nil, errNoMetadata
	}
	text, err := io.ReadAll(io.LimitReader(f, int64(size)))
	if err != nil {
		return nil, err
	}
	var header struct {
		Metadata map[string]json.RawMessage `json:"__metadata__"`
	}
	if err := json.Unmarshal(text, &header); err != nil || header.Metadata == nil {
		return nil, errNoMetadata
	}
	return header.Metadata, nil
}
