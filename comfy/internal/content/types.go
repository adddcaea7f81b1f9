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
// that can run code. Only files of the host program have these types, and few others:
// the style sheet of a user, and an SVG that a page shows as a picture.
var active = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".xml": "application/xml",
	".wasm": "application/wasm", ".map": "application/json", ".webmanifest": "application/manifest+json",
}

// moreActive has more extensions of files that can run code, or that lead a browser to such
// files: pages in other forms, dialects of XML, and what plug-ins run.
var moreActive = map[string]bool{
	".xhtml": true, ".xht": true, ".shtml": true, ".mht": true, ".mhtml": true, ".hta": true, ".htc": true, ".svgz": true,
	".xsl": true, ".xslt": true, ".xsd": true, ".dtd": true, ".rdf": true, ".rss": true, ".atom": true, ".xul": true,
	".mml": true, ".mathml": true, ".wsdl": true, ".xbl": true, ".cjs": true, ".jsx": true, ".pdf": true, ".swf": true,
	".appcache": true, ".manifest": true, ".eml": true,
}

// isActive reports whether a file of this name could run code in a browser that takes the
// name for the type.
func isActive(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return active[ext] != "" || moreActive[ext]
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
