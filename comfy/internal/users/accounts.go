package users

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// accounts lists the users and stores their settings and files. Each user has a
// folder in the store, with the user's id as its name. The file users.json lists
// the users.
type accounts struct {
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

// newAccounts returns accounts with a store in the folder dir, or in memory if dir is
// empty.
func newAccounts(dir string, multi bool) *accounts {
	a := &accounts{store: files.Folder(dir), multi: multi}
	if dir == "" {
		a.store = files.NewMemory(memoryBytes, memoryFiles)
	}
	return a
}

// singleUser is the id of the user if multi is false.
const singleUser = "default"

// errUnknownUser is the error for a request that does not name a known user.
var errUnknownUser = errors.New("unknown user")

// of returns the id of the user who sends the request.
func (a *accounts) of(r *http.Request) (id string, err error) {
	if !a.multi {
		return singleUser, nil
	}
	all, err := a.all()
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
func (a *accounts) all() (names map[string]string, err error) {
	names = map[string]string{}
	return names, readInto(a.store, usersFile, &names)
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
	for i, key := range slices.Sorted(maps.Keys(all)) {
		member, err := json.Marshal(web.Object{{key, all[key]}})
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
func (a *accounts) add(name string) (id string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, err := a.all()
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
	return id, writeFrom(a.store, usersFile, all)
}
