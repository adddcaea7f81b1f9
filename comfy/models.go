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

// modelFolders answers GET /models.
func (s *Server) modelFolders(w http.ResponseWriter, _ *http.Request) {
	names := sortedKeys(s.opts.Models)
	if names == nil {
		names = []string{}
	}
	answer(w, http.StatusOK, names)
}

// hostFile is a file of the host's, by its path in an fs.FS.
type hostFile struct {
	path  string
	entry fs.DirEntry
}

// hostFiles are all files in from, except hidden ones. What cannot be read is
// left out.
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

// models is the folder of models that the request's path names. If there is none
// it has answered.
func (s *Server) models(w http.ResponseWriter, r *http.Request) (from fs.FS, ok bool) {
	from, ok = s.opts.Models[r.PathValue("folder")]
	if !ok || from == nil {
		fail(w, http.StatusNotFound, "there is no such folder of models")
		return nil, false
	}
	return from, true
}

// modelFiles answers GET /models/{folder}.
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

// embeddings answers GET /embeddings: names without their extension, as they are
// written in a text.
func (s *Server) embeddings(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	if from := s.opts.Models["embeddings"]; from != nil {
		for _, f := range hostFiles(from) {
			names = append(names, strings.TrimSuffix(f.path, path.Ext(f.path)))
		}
	}
	answer(w, http.StatusOK, names)
}

// experimentFolders answers GET /experiment/models. Where a folder is on this
// machine is nobody's business: its name has to do.
func (s *Server) experimentFolders(w http.ResponseWriter, _ *http.Request) {
	list := []object{}
	for _, name := range sortedKeys(s.opts.Models) {
		list = append(list, object{{"name", name}, {"folders", []string{"models/" + name}}})
	}
	answer(w, http.StatusOK, list)
}

// experimentFiles answers GET /experiment/models/{folder}.
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

// folderPaths answers GET /internal/folder_paths, as experimentFolders does.
func (s *Server) folderPaths(w http.ResponseWriter, _ *http.Request) {
	paths := map[string][]string{}
	for name := range s.opts.Models {
		paths[name] = []string{"models/" + name}
	}
	answer(w, http.StatusOK, paths)
}

// modelMetadata answers GET /view_metadata/{folder}: what is said about a model
// in its own file.
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

// metadataMax bounds the header of a model, in bytes.
const metadataMax = 8 << 20

var errNoMetadata = errors.New("there is no such file with metadata")

// readMetadata reads the header of a safetensors file: eight bytes of length,
// and JSON of that length in which __metadata__ is an object.
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
