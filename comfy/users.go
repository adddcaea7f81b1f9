package comfy

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"github.com/nodebus/nodebus/internal/files"
)

// users manages the users and stores their settings and files. Each user has a
// folder in the store, with the user's id as its name. The file users.json lists
// the users.
type users struct {
	store files.Store
	multi bool

	mu sync.Mutex // held during a change of users.json or of settings
}

// Limits of the memory store and of the users.
const (
	memoryBytes = 64 << 20
	memoryFiles = 4096
	usersMax    = 1000
	userNameMax = 128 // bytes
)

// newUsers returns users with a store in the folder dir, or in memory if dir is
// empty.
func newUsers(dir string, multi bool) *users {
	u := &users{store: files.Folder(dir), multi: multi}
	if dir == "" {
		u.store = files.NewMemory(memoryBytes, memoryFiles)
	}
	return u
}

// singleUser is the id of the user if multi is false.
const singleUser = "default"

// errUnknownUser is the error for a request that does not name a known user.
var errUnknownUser = errors.New("unknown user")

// of returns the id of the user who sends the request.
func (u *users) of(r *http.Request) (id string, err error) {
	if !u.multi {
		return singleUser, nil
	}
	all, err := u.all()
	if err != nil {
		return "", err
	}
	id = r.Header.Get("Comfy-User")
	if _, known := all[id]; !known {
		return "", errUnknownUser
	}
	return id, nil
}

const usersFile = "users.json"

// all returns the names of all users by id.
func (u *users) all() (names map[string]string, err error) {
	names = map[string]string{}
	return names, readInto(u.store, usersFile, &names)
}

// readInto decodes a JSON file into v. If the file does not exist, v stays as it
// was.
func readInto(store fs.FS, name string, v any) error {
	data, err := fs.ReadFile(store, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// writeFrom encodes a map as a JSON file that people can read, with one member per
// line. It does not indent the values, because indentation makes deeply nested
// values very large.
func writeFrom[V any](store files.Store, name string, all map[string]V) error {
	var text bytes.Buffer
	text.WriteByte('{')
	for i, key := range sortedKeys(all) {
		member, err := json.Marshal(object{{key, all[key]}})
		if err != nil {
			return err
		}
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString("\n    ")
		text.Write(member[1 : len(member)-1]) // without its braces
	}
	text.WriteString("\n}\n")
	return store.Write(name, &text, true)
}

// errDuplicate is the error for a name that another user has.
var errDuplicate = errors.New("Duplicate username.") //nolint:staticcheck // the text of ComfyUI, which clients show unchanged

// add adds a user and returns the id. The id contains the name, with a - for each
// character that is not safe in a folder name. The error is errDuplicate or
// files.ErrFull if the name is taken or there are too many users.
func (u *users) add(name string) (id string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all, err := u.all()
	if err != nil {
		return "", err
	}
	for _, other := range all {
		if other == name {
			return "", errDuplicate
		}
	}
	if len(all) >= usersMax {
		return "", files.ErrFull
	}
	id = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, name) + "_" + rand.Text()
	all[id] = name
	return id, writeFrom(u.store, usersFile, all)
}

// usersList answers GET /users. The front end shows its login page only if the
// answer has the member users.
func (s *Server) usersList(w http.ResponseWriter, _ *http.Request) {
	if !s.users.multi {
		_, err := fs.Stat(s.users.store, singleUser)
		answer(w, http.StatusOK, object{{"storage", "server"}, {"migrated", err == nil}})
		return
	}
	all, err := s.users.all()
	if err != nil {
		s.fileError(w, err)
		return
	}
	answer(w, http.StatusOK, object{{"storage", "server"}, {"users", all}})
}

// usersAdd answers POST /users with the id of the new user.
func (s *Server) usersAdd(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Username string `json:"username"`
	}
	if !readJSON(w, r, &req) {
		return
	}
	switch name := strings.TrimSpace(req.Username); {
	case !s.users.multi:
		fail(w, http.StatusBadRequest, "this server has only one user")
	case name == "" || len(name) > userNameMax || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		fail(w, http.StatusBadRequest, "username must have 1 to 128 bytes and no control characters")
	default:
		id, err := s.users.add(name)
		switch {
		case errors.Is(err, errDuplicate):
			fail(w, http.StatusBadRequest, err.Error())
		case err != nil:
			s.fileError(w, err)
		default:
			answer(w, http.StatusOK, id)
		}
	}
}

// user returns the id of the user who sends the request. If ok is false, user has
// already answered. unknown is the status for an unknown user: clients expect a
// different status on some routes.
func (s *Server) user(w http.ResponseWriter, r *http.Request, unknown int) (id string, ok bool) {
	id, err := s.users.of(r)
	switch {
	case errors.Is(err, errUnknownUser):
		fail(w, unknown, err.Error())
		return "", false
	case err != nil:
		s.fileError(w, err)
		return "", false
	}
	return id, true
}
