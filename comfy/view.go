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

// view answers GET /view with a file from the input, output or temp folder. If the
// file is a picture, the client can request another form of it.
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
		fail(w, http.StatusBadRequest, "type must be output, input or temp")
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
			// A browser may be able to show the file: send it unchanged.
		default:
			s.pictureError(w, err)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-cache") // a later file may have the same name
	w.Header().Set("Content-Disposition", disposition(name))
	s.serveFile(w, r, from, name, clientType(name))
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

// disposition returns the Content-Disposition header for a file. The browser shows
// the file, and uses its name if the user saves it.
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
