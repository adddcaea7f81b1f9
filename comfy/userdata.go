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

// userFile reads the name of a user's file from a part of the request's path. It
// returns the path of the file in the store, and the name in the user's folder.
// The file may not exist. If ok is false, userFile has already answered.
func (s *Server) userFile(w http.ResponseWriter, r *http.Request, part string) (stored, name string, ok bool) {
	user, ok := s.user(w, r, http.StatusUnauthorized)
	if !ok {
		return "", "", false
	}
	name, err := files.Clean(r.PathValue(part))
	if strings.EqualFold(name, settingsName) {
		err = fs.ErrPermission // only the settings routes may read and change this file
	}
	if err != nil {
		s.fileError(w, err)
		return "", "", false
	}
	return path.Join(user, name), name, true
}

// userdataGet answers GET /userdata/{file} with the file. A style sheet keeps its
// content type, because the front end loads the style sheet of the user from here.
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

// userdataPut answers POST /userdata/{file}. It stores the body as the file.
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

// overwrites reports whether the request may replace an existing file. It may by
// default.
func overwrites(r *http.Request) bool { return r.URL.Query().Get("overwrite") != "false" }

// userdataDelete answers DELETE /userdata/{file} with status 204.
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

// userdataMove answers POST /userdata/{file}/move/{dest}. It renames the file.
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

// userdataDone answers with the name of a file that has been written. With
// full_info=true, it answers with the name, size and time.
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

// asked reports whether a query parameter is "true", in any case of letters.
func asked(r *http.Request, what string) bool {
	return strings.EqualFold(r.URL.Query().Get(what), "true")
}

// source keeps the error of its Reader. The error shows whether the client or the
// disk has failed.
type source struct {
	io.Reader
	err error
}

// Read reads from the Reader and keeps its error.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// writeFailed answers a request whose body could not be stored.
func (s *Server) writeFailed(w http.ResponseWriter, from *source, err error) {
	var large *http.MaxBytesError
	if from.err != nil && !errors.As(from.err, &large) {
		fail(w, http.StatusBadRequest, "the body could not be read")
		return
	}
	s.fileError(w, err)
}
