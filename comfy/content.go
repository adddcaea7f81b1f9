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

// folder returns the folder for a type of files, as clients name it: input, output
// or temp.
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

// serveFile answers with a file. It supports range requests and conditional
// requests.
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
	if !ok { // files of some file systems cannot seek, for example files in archives
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
	if at := info.ModTime(); !at.IsZero() { // the date has only seconds; two versions may differ by less
		h.Set("ETag", fmt.Sprintf(`"%x-%x"`, at.UnixNano(), info.Size()))
	}
	http.ServeContent(w, r, "", info.ModTime(), content)
}

// fileError answers a request whose file could not be read or written. It logs the
// errors that it does not expect.
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
		fail(w, http.StatusForbidden, "access to this file is not allowed")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		fail(w, http.StatusNotFound, "there is no such file")
	case errors.Is(err, fs.ErrExist):
		fail(w, http.StatusConflict, "a file or folder with this name already exists")
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

// inert maps extensions to the content types that a browser shows without running
// code in the file. The type list of the operating system is not used, because it
// may contain unsafe types.
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

// active maps extensions to the content types of pages, scripts and other files
// that can run code. Only files of the host program have these types, except that
// style sheets in user data are served as text/css.
var active = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".xml": "application/xml",
	".wasm": "application/wasm", ".map": "application/json", ".webmanifest": "application/manifest+json",
}

// download is the content type of a file that a browser saves and does not show.
const download = "application/octet-stream"

// clientType returns the content type for a file that a client or a node may have
// made. A browser runs no code in a file of this type, so the file cannot act with
// the rights of this server's pages.
func clientType(name string) string {
	if typ, ok := inert[strings.ToLower(path.Ext(name))]; ok {
		return typ
	}
	return download
}

// hostType returns the content type for a file of the host program, which may run
// code.
func hostType(name string) string {
	if typ, ok := active[strings.ToLower(path.Ext(name))]; ok {
		return typ
	}
	return clientType(name)
}
