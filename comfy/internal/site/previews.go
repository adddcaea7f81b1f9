package site

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// pictureTypes are the content types of previews. Every browser shows them, and runs no code in
// them. ComfyUI converts all previews to WebP; this server sends them as they are.
var pictureTypes = map[string]bool{"image/webp": true, "image/png": true, "image/jpeg": true, "image/gif": true, "image/bmp": true}

// previewNames are what follows the name of a model in the names of its previews, the best first.
var previewNames = []string{
	".webp", ".png", ".jpg", ".jpeg", ".gif", ".bmp",
	".preview.webp", ".preview.png", ".preview.jpg", ".preview.jpeg", ".preview.gif", ".preview.bmp",
}

// ModelPreview answers GET /experiment/models/preview/{folder}/{index}/{file} with a picture of a
// model: a file beside it, or else a picture inside it. The extension of {file} does not count: the front end
// asks for a.webp if the model is a.safetensors. A folder has one path, so its only index is 0.
func (s *Site) ModelPreview(w http.ResponseWriter, r *http.Request) {
	from, ok := s.models(w, r)
	if !ok {
		return
	}
	if n, err := strconv.Atoi(r.PathValue("index")); err != nil || n != 0 {
		web.Fail(w, http.StatusBadRequest, "the path index must be 0, because each folder of models has one path")
		return
	}
	name, err := files.Clean(r.PathValue("file"))
	if err == nil && isHidden(name) {
		err = fs.ErrNotExist
	}
	if err != nil {
		s.Sender.Error(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-cache") // a later picture may have the same name
	stem := strings.TrimSuffix(name, path.Ext(name))
	for _, find := range []func(fs.FS, string) []string{exactPreviews, foldedPreviews} {
		for _, preview := range find(from, stem) {
			if typ := pictureType(from, preview); typ != "" {
				s.Sender.Send(w, r, from, preview, typ)
				return
			}
		}
	}
	picture, err := coverPicture(from, stem+".safetensors")
	if err != nil {
		web.Fail(w, http.StatusNotFound, errNoPreview.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", http.DetectContentType(picture))
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(picture))
}

// exactPreviews returns the usual names of the previews of a model, the best first. There may
// be no such files.
func exactPreviews(_ fs.FS, stem string) (names []string) {
	for _, ext := range previewNames {
		names = append(names, stem+ext)
	}
	return names
}

// foldedPreviews returns the names of the previews of a model that differ from the usual names
// in capital letters, such as a.PNG, the best first. It reads the whole folder.
func foldedPreviews(from fs.FS, stem string) (names []string) {
	dir, base := path.Split(stem)
	entries, err := fs.ReadDir(from, path.Clean(dir))
	if err != nil {
		return nil
	}
	for _, ext := range previewNames {
		for _, e := range entries {
			if rest, is := strings.CutPrefix(e.Name(), base); is && rest != ext && strings.EqualFold(rest, ext) {
				names = append(names, dir+e.Name())
			}
		}
	}
	return names
}

var errNoPreview = errors.New("there is no preview of a model with this name")

// pictureType returns the content type of a picture by its first bytes, or "" if there is no
// such file or it is no picture. The extension is not enough: previews often have a wrong extension.
func pictureType(from fs.FS, name string) string {
	if !exists(from, name) {
		return ""
	}
	f, err := from.Open(name)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	begin, err := io.ReadAll(io.LimitReader(f, 512))
	if typ := http.DetectContentType(begin); err == nil && pictureTypes[typ] {
		return typ
	}
	return ""
}

// coverPicture returns the first picture in the metadata of a model file. Programs that train models put
// a JSON list of pictures there, each in base64.
func coverPicture(from fs.FS, name string) ([]byte, error) {
	metadata, err := readMetadata(from, name)
	if err != nil {
		return nil, err
	}
	var text string
	if err := json.Unmarshal(metadata["ssmd_cover_images"], &text); err != nil {
		return nil, err
	}
	var all []string
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	for _, encoded := range all {
		picture, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && pictureTypes[http.DetectContentType(picture)] {
			return picture, nil
		}
	}
	return nil, errNoPreview
}
