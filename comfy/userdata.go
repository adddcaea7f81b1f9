package comfy

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

// userFile is the file that a part of the request's path names, in the store
// and for the user. If there can be none it has answered.
func (s *Server) userFile(w http.ResponseWriter, r *http.Request, part string) (stored, name string, ok bool) {
	user, ok := s.user(w, r, http.StatusUnauthorized)
	if !ok {
		return "", "", false
	}
	name, err := files.Clean(r.PathValue(part))
	if strings.EqualFold(name, settingsName) {
		err = fs.ErrPermission // it is for the settings routes to change
	}
	if err != nil {
		s.fileError(w, err)
		return "", "", false
	}
	return path.Join(user, name), name, true
}

// userdataGet answers GET /userdata/{file}. Style sheets keep their type: the
// front end loads the user's own from here.
func (s *Server) userdataGet(w http.ResponseWriter, r *http.Request) {
	stored, name, ok := s.userFile(w, r, "file")
	if !ok {
		return
	}
	typ := clientType(name)
	if strings.EqualFold(path.Ext(name), ".css") {
		typ = active[".css"]
	}
	w.Header().Set("Cache-Control", "no-cache")
	s.serveFile(w, r, s.users.store, stored, typ)
}

// userdataPut answers POST /userdata/{file}, of which the body is the content.
func (s *Server) userdataPut(w http.ResponseWriter, r *http.Request) {
	stored, name, ok := s.userFile(w, r, "file")
	if !ok {
		return
	}
	body := &source{Reader: r.Body}
	if err := s.users.store.Write(stored, body, overwrites(r)); err != nil {
		s.writeFailed(w, body, err)
		return
	}
	s.userdataDone(w, r, stored, name)
}

// overwrites reports whether the request is content to replace a file.
func overwrites(r *http.Request) bool { return r.URL.Query().Get("overwrite") != "false" }

// userdataDelete answers DELETE /userdata/{file}.
func (s *Server) userdataDelete(w http.ResponseWriter, r *http.Request) {
	stored, _, ok := s.userFile(w, r, "file")
	if !ok {
		return
	}
	if err := s.users.store.Remove(stored); err != nil {
		s.fileError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// userdataMove answers POST /userdata/{file}/move/{dest}.
func (s *Server) userdataMove(w http.ResponseWriter, r *http.Request) {
	from, _, ok := s.userFile(w, r, "file")
	if !ok {
		return
	}
	to, name, ok := s.userFile(w, r, "dest")
	if !ok {
		return
	}
	if err := s.users.store.Rename(from, to, overwrites(r)); err != nil {
		s.fileError(w, err)
		return
	}
	s.userdataDone(w, r, to, name)
}

// userdataDone answers with the name of a file that has been written, or what
// there is to know of it.
func (s *Server) userdataDone(w http.ResponseWriter, r *http.Request, stored, name string) {
	if !asked(r, "full_info") {
		answer(w, http.StatusOK, name)
		return
	}
	info, err := fs.Stat(s.users.store, stored)
	if err != nil {
		s.fileError(w, err)
		return
	}
	answer(w, http.StatusOK, fullInfo(name, info))
}

// asked reports whether the query says yes to something.
func asked(r *http.Request, what string) bool {
	return strings.EqualFold(r.URL.Query().Get(what), "true")
}

// source remembers its error, to tell a client's failure from the disk's.
type source struct {
	io.Reader
	err error
}

// Read is that of the Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// writeFailed answers for content that could not be stored.
func (s *Server) writeFailed(w http.ResponseWriter, from *source, err error) {
	var large *http.MaxBytesError
	if from.err != nil && !errors.As(from.err, &large) {
		fail(w, http.StatusBadRequest, "the body could not be read")
		return
	}
	s.fileError(w, err)
}
