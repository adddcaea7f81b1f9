package site

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// ModelFolders answers GET /models with the names of the model folders.
func (s *Site) ModelFolders(w http.ResponseWriter, _ *http.Request) {
	names := slices.Sorted(maps.Keys(s.Models))
	if names == nil {
		names = []string{}
	}
	web.Answer(w, http.StatusOK, names)
}

// models returns the model folder that the path of the request names. If ok is
// false, models has already answered.
func (s *Site) models(w http.ResponseWriter, r *http.Request) (from fs.FS, ok bool) {
	from, ok = s.Models[r.PathValue("folder")]
	if !ok || from == nil {
		web.Fail(w, http.StatusNotFound, "there is no model folder with this name")
		return nil, false
	}
	return from, true
}

// modelFiles returns the files of a folder of models without the previews of models: the
// pictures that have the name of another file.
func modelFiles(from fs.FS) (models []string) {
	all := filesIn(from)
	stems := map[string]bool{}
	for _, file := range all {
		if ext := path.Ext(file); !isPreview(ext) {
			stems[strings.TrimSuffix(file, ext)] = true
		}
	}
	for _, file := range all {
		ext := path.Ext(file)
		stem := strings.TrimSuffix(file, ext)
		if !isPreview(ext) || !stems[stem] && !stems[strings.TrimSuffix(stem, ".preview")] {
			models = append(models, file)
		}
	}
	return models
}

func isPreview(ext string) bool { return slices.Contains(previewNames, strings.ToLower(ext)) }

// ModelFiles answers GET /models/{folder} with the paths of the files.
func (s *Site) ModelFiles(w http.ResponseWriter, r *http.Request) {
	from, ok := s.models(w, r)
	if !ok {
		return
	}
	web.Answer(w, http.StatusOK, append([]string{}, modelFiles(from)...)) // never nil: JSON needs [], not null
}

// Embeddings answers GET /embeddings with the names of the embeddings. A name has
// no extension, because users write it like that in a prompt text.
func (s *Site) Embeddings(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	if from := s.Models["embeddings"]; from != nil {
		for _, file := range modelFiles(from) {
			names = append(names, strings.TrimSuffix(file, path.Ext(file)))
		}
	}
	web.Answer(w, http.StatusOK, names)
}

// ExperimentFolders answers GET /experiment/models. It does not show where a
// folder is on the machine: it shows a path that it makes from the name. The empty list of
// extensions means that all files of the folder are models.
func (s *Site) ExperimentFolders(w http.ResponseWriter, _ *http.Request) {
	list := []web.Object{}
	for _, name := range slices.Sorted(maps.Keys(s.Models)) {
		list = append(list, web.Object{{"name", name}, {"folders", []string{"models/" + name}}, {"extensions", []string{}}})
	}
	web.Answer(w, http.StatusOK, list)
}

// ExperimentFiles answers GET /experiment/models/{folder} with the size and the
// time of each file.
func (s *Site) ExperimentFiles(w http.ResponseWriter, r *http.Request) {
	from, ok := s.models(w, r)
	if !ok {
		return
	}
	list := []web.Object{}
	for _, file := range modelFiles(from) {
		info, err := fs.Stat(from, file)
		if err != nil {
			continue
		}
		at := content.Seconds(info)
		list = append(list, web.Object{{"name", file}, {"pathIndex", 0}, {"modified", at}, {"created", at}, {"size", info.Size()}})
	}
	web.Answer(w, http.StatusOK, list)
}

// FolderPaths answers GET /internal/folder_paths. It hides the real paths, as
// ExperimentFolders does.
func (s *Site) FolderPaths(w http.ResponseWriter, _ *http.Request) {
	paths := map[string][]string{}
	for name := range s.Models {
		paths[name] = []string{"models/" + name}
	}
	web.Answer(w, http.StatusOK, paths)
}

// ModelMetadata answers GET /view_metadata/{folder} with the metadata that a
// .safetensors file contains.
func (s *Site) ModelMetadata(w http.ResponseWriter, r *http.Request) {
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
		web.Fail(w, http.StatusNotFound, errNoMetadata.Error())
		return
	}
	web.Answer(w, http.StatusOK, metadata)
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
