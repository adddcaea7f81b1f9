package content

import (
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// sandbox is the Content-Security-Policy of a file that could run code: should a browser
// show it as a page after all, the page has no scripts, no rights of this server's pages, and
// no address to send anything to. Pictures and styles inside an SVG still work.
const sandbox = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; sandbox"

// SendMade answers with a file that a client or a node may have made, like [Sender.Send]. The
// browser shows a file in which it runs no code, and saves others. If save is true, it always
// saves the file.
//
// A file that could run code is sent as a download, with one exception: a browser runs no
// script in an SVG that a page shows as a picture, and says that it asks for a picture. So
// that the answer to that question is never shown as a page, no cache may keep it.
func (s Sender) SendMade(w http.ResponseWriter, r *http.Request, from fs.FS, name string, save bool) {
	typ := ClientType(name)
	saved := save || typ == Download
	h := w.Header()
	if isActive(name) {
		h.Add("Vary", "Sec-Fetch-Dest")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", sandbox)
		if strings.EqualFold(path.Ext(name), ".svg") && r.Header.Get("Sec-Fetch-Dest") == "image" {
			typ, saved = HostType(name), save
		}
	}
	h.Set("Content-Disposition", Disposition(name, saved))
	s.Send(w, r, from, name, typ)
}
