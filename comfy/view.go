package comfy

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

// view answers GET /view: a file of one of the folders, as it is or, if it is a
// picture, in another form.
func (s *Server) view(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !q.Has("filename") {
		fail(w, http.StatusNotFound, "filename is missing")
		return
	}
	filename, typ := annotated(q.Get("filename"))
	if typ == "" {
		if typ = q.Get("type"); !q.Has("type") {
			typ = "output"
		}
	}
	from, ok := s.folder(typ)
	if !ok {
		fail(w, http.StatusBadRequest, "type is none of output, input and temp")
		return
	}
	name, err := files.Clean(filename)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	dir, err := files.CleanDir(q.Get("subfolder"))
	if err != nil {
		s.fileError(w, err)
		return
	}
	name = path.Join(dir, name)

	if form, changed := formOf(q); changed {
		err := s.sendPicture(w, r, from, name, form)
		switch {
		case err == nil:
			return
		case form.preview && (errors.Is(err, errNoPicture) || errors.Is(err, errHuge)):
			// A browser may know what to do with it: it is sent as it is.
		default:
			s.pictureError(w, err)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-cache") // the next file may have this name
	w.Header().Set("Content-Disposition", disposition(name))
	s.serveFile(w, r, from, name, clientType(name))
}

// annotated splits what nodes and clients call a file: its name, and after it
// perhaps the type of its folder, as in "a.png [temp]".
func annotated(text string) (name, typ string) {
	for _, typ := range []string{"output", "input", "temp"} {
		if name, is := strings.CutSuffix(text, "["+typ+"]"); is {
			return strings.TrimSuffix(name, " "), typ
		}
	}
	return text, ""
}

// disposition has a browser show the file, or save it under its name.
func disposition(name string) string {
	name = path.Base(name)
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '_'
		}
		return c
	}, name)
	text := `inline; filename="` + plain + `"`
	if plain != name {
		text += "; filename*=UTF-8''" + url.PathEscape(name)
	}
	return text
}

// form is what a picture is to be made into.
type form struct {
	preview bool
	jpeg    bool // asked for by name
	quality int
	channel string // "rgb", "a" or both: ""
}

// formOf reads the query. It reports false if the file is wanted as it is.
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
