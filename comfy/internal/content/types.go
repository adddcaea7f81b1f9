package content

import (
	"path"
	"strings"
)

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

// Download is the content type of a file that a browser saves and does not show.
const Download = "application/octet-stream"

// ClientType returns the content type for a file that a client or a node may have
// made. A browser runs no code in a file of this type, so the file cannot act with
// the rights of this server's pages.
func ClientType(name string) string {
	if typ, ok := inert[strings.ToLower(path.Ext(name))]; ok {
		return typ
	}
	return Download
}

// HostType returns the content type for a file of the host program, which may run
// code.
func HostType(name string) string {
	if typ, ok := active[strings.ToLower(path.Ext(name))]; ok {
		return typ
	}
	return ClientType(name)
}
