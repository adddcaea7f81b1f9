package js

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the files
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed nodebus.js
var module []byte

//go:embed nodebus.d.ts
var types []byte

// file is a file that Handler serves.
type file struct {
	name, mime string
	content    []byte
	tag        string // changes with the content
}

// files returns the files by name.
var files = sync.OnceValue(func() map[string]file {
	m := map[string]file{}
	for _, f := range []file{
		{name: "nodebus.js", mime: "text/javascript; charset=utf-8", content: module},
		{name: "nodebus.d.ts", mime: "text/plain; charset=utf-8", content: types},
	} {
		sum := sha256.Sum256(f.content)
		f.tag = `"` + hex.EncodeToString(sum[:16]) + `"`
		m[f.name] = f
	}
	return m
})

// Handler returns a handler that serves nodebus.js and nodebus.d.ts. The last element of
// the path of a request says which, so that the handler can be below any path. Other
// paths have status 404, and methods other than GET and HEAD have status 405.
//
// The files belong to the version of the program. Browsers ask each time whether they have
// changed, and receive a file again only if it has: a page never has the module of an
// older program.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	f, ok := files()[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, f.name+" is read with GET", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", f.mime)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.content))
}
