package media

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// View answers GET /view with a file from the input, output or temp folder. If the
// file is a picture, the client can request another form of it.
func (m *Media) View(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !q.Has("filename") {
		web.Fail(w, http.StatusNotFound, "filename is missing")
		return
	}
	filename, typ := annotated(q.Get("filename"))
	if files.IsHash(filename) {
		web.Fail(w, http.StatusNotFound, "this server does not find files by their hash")
		return
	}
	if typ == "" {
		if typ = q.Get("type"); !q.Has("type") {
			typ = "output"
		}
	}
	from, ok := m.folder(typ)
	if !ok {
		web.Fail(w, http.StatusBadRequest, "type must be output, input or temp")
		return
	}
	name, err := files.Clean(filename)
	if err != nil {
		web.Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	dir, err := files.CleanDir(q.Get("subfolder"))
	if err != nil {
		m.sender.Error(w, err)
		return
	}
	name = path.Join(dir, name)

	if form, changed := formOf(q); changed {
		err := m.sendPicture(w, r, from, name, form)
		switch {
		case err == nil:
			return
		case form.preview && (errors.Is(err, errNoPicture) || errors.Is(err, errHuge)):
			// A browser may be able to show the file: send it unchanged.
		default:
			m.pictureError(w, err)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-cache") // a later file may have the same name
	m.sender.SendMade(w, r, from, name, false)
}

// annotated splits the text by which nodes and clients name a file. The text is a
// name, and can have the type of the folder at its end, as in "a.png [temp]". If
// there is no type, typ is "".
func annotated(text string) (name, typ string) {
	for _, typ := range []string{"output", "input", "temp"} {
		if name, is := strings.CutSuffix(text, "["+typ+"]"); is {
			return strings.TrimSuffix(name, " "), typ
		}
	}
	return text, ""
}

// form describes the form in which the client wants a picture.
type form struct {
	preview bool
	jpeg    bool // the client asks for JPEG
	quality int
	channel string // "rgb", "a", or "" for both
}

// formOf reads the form from the query. If changed is false, the client wants the
// file unchanged.
func formOf(q url.Values) (f form, changed bool) {
	if c := q.Get("channel"); c == "rgb" || c == "a" {
		f.channel, changed = c, true
	}
	if preview := q.Get("preview"); q.Has("preview") {
		name, quality, _ := strings.Cut(preview, ";")
		f = form{preview: true, jpeg: name == "jpeg" && !strings.Contains(q.Get("channel"), "a"), quality: 90, channel: f.channel}
		if f.channel == "a" {
			f.channel = ""
		}
		if n, err := strconv.Atoi(quality); err == nil {
			f.quality = min(max(n, 1), 100)
		}
		changed = true
	}
	return f, changed
}
