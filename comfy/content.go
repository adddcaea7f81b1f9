package comfy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

// folder is the one that clients call by the type of the files in it.
func (s *Server) folder(typ string) (f files.Folder, ok bool) {
	switch typ {
	case "input":
		return files.Folder(s.opts.Input), true
	case "output":
		return files.Folder(s.opts.Output), true
	case "temp":
		return files.Folder(s.opts.Temp), true
	}
	return "", false
}

// serveFile answers with a file. Ranges and conditions work.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, from fs.FS, name, typ string) {
	f, err := from.Open(name)
	if err != nil {
		s.fileError(w, err)
		return
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		s.fileError(w, err)
		return
	}
	content, ok := f.(io.ReadSeeker)
	if !ok { // some file systems of the host's, such as archives
		all, err := io.ReadAll(f)
		if err != nil {
			s.fileError(w, err)
			return
		}
		content = bytes.NewReader(all)
	}
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("X-Content-Type-Options", "nosniff")
	if at := info.ModTime(); !at.IsZero() { // two versions may be less than a second apart
		h.Set("ETag", fmt.Sprintf(`"%x-%x"`, at.UnixNano(), info.Size()))
	}
	http.ServeContent(w, r, "", info.ModTime(), content)
}

// fileError answers for a file that could not be read or written.
func (s *Server) fileError(w http.ResponseWriter, err error) {
	w.Header().Del("Content-Disposition")
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		tooLarge(w, large.Limit)
	case errors.Is(err, files.ErrName):
		fail(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, files.ErrOutside):
		fail(w, http.StatusForbidden, files.ErrOutside.Error())
	case errors.Is(err, fs.ErrPermission):
		fail(w, http.StatusForbidden, "that is not allowed")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		fail(w, http.StatusNotFound, "there is no such file")
	case errors.Is(err, fs.ErrExist):
		fail(w, http.StatusConflict, "there is a file or folder of that name")
	case errors.Is(err, files.ErrFull):
		fail(w, http.StatusInsufficientStorage, err.Error())
	default:
		s.opts.Logger.Error("file not read or written", "error", err)
		fail(w, http.StatusServiceUnavailable, "the file cannot be read or written now")
	}
}

func tooLarge(w http.ResponseWriter, limit int64) {
	fail(w, http.StatusRequestEntityTooLarge, "the body is larger than "+strconv.FormatInt(limit, 10)+" bytes")
}

// inert are the types of files that a browser shows without running anything in
// them, by extension. The system's own list is not asked: it may know more.
var inert = map[string]string{
	".png": "image/png", ".apng": "image/apng", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".bmp": "image/bmp", ".ico": "image/x-icon",
	".tif": "image/tiff", ".tiff": "image/tiff",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime",
	".mkv": "video/x-matroska", ".avi": "video/x-msvideo", ".ogv": "video/ogg",
	".mp3": "audio/mpeg", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".oga": "audio/ogg",
	".opus": "audio/ogg", ".m4a": "audio/mp4", ".aac": "audio/aac",
	".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", ".csv": "text/plain; charset=utf-8",
	".json": "application/json", ".glb": "model/gltf-binary", ".gltf": "model/gltf+json",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf",
}

// active are those of pages and what is in them, which only the host may give.
var active = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".xml": "application/xml",
	".wasm": "application/wasm", ".map": "application/json", ".webmanifest": "application/manifest+json",
}

// download is the type of a file to be saved rather than shown.
const download = "application/octet-stream"

// clientType is the type of a file that a client or a node may have made: never
// one that could run in the name of this server.
func clientType(name string) string {
	if typ, ok := inert[strings.ToLower(path.Ext(name))]; ok {
		return typ
	}
	return download
}

// hostType is the type of a file that the host gives.
func hostType(name string) string {
	if typ, ok := active[strings.ToLower(path.Ext(name))]; ok {
		return typ
	}
	return clientType(name)
}
