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

// users are those whose settings and files are kept: in the store, each has a
// folder by the name of its id, and users.json says who there is.
type users struct {
	store files.Store
	multi bool

	mu sync.Mutex // held to change users.json or settings
}

// Bounds of what is kept in memory, and of users.
const (
	memoryBytes = 64 << 20
	memoryFiles = 4096
	usersMax    = 1000
	userNameMax = 128 // bytes
)

// newUsers keeps them in a folder or, if that is not named, in memory.
func newUsers(dir string, multi bool) *users {
	u := &users{store: files.Folder(dir), multi: multi}
	if dir == "" {
		u.store = files.NewMemory(memoryBytes, memoryFiles)
	}
	return u
}

// singleUser is the id of the user where there is only one.
const singleUser = "default"

// errUnknownUser is about a request of nobody known.
var errUnknownUser = errors.New("unknown user")

// of is the id of the user whose request it is.
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

// all are the names of the users by id.
func (u *users) all() (names map[string]string, err error) {
	names = map[string]string{}
	return names, readInto(u.store, usersFile, &names)
}

// readInto decodes a file, if there is one.
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

// writeFrom encodes a file for people to read, a member a line. The members
// themselves are not indented: what is nested deep would become very large.
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

// errDuplicate is about a name that another user has.
var errDuplicate = errors.New("Duplicate username.") //nolint:staticcheck // clients show it as it is

// add makes a user. The id has the name in it, as far as a folder's name can.
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

// usersList answers GET /users. That the answer has users in it is what makes
// the front end ask who one is.
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

// usersAdd answers POST /users with the new user's id.
func (s *Server) usersAdd(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Username string `json:"username"`
	}
	if !readJSON(w, r, &req) {
		return
	}
	switch name := strings.TrimSpace(req.Username); {
	case !s.users.multi:
		fail(w, http.StatusBadRequest, "this server has one user")
	case name == "" || len(name) > userNameMax || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		fail(w, http.StatusBadRequest, "username should be a name of up to 128 bytes")
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

// user is the id of the user whose request it is. If there is none it has
// answered, with the status that clients expect of the route.
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
