package users

import (
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// userFile reads the name of a user's file from a part of the request's path. It
// returns the path of the file in the store, and the name in the user's folder.
// The file may not exist. If ok is false, userFile has already answered.
func (u *Users) userFile(w http.ResponseWriter, r *http.Request, part string) (stored, name string, ok bool) {
	user, ok := u.user(w, r, http.StatusUnauthorized)
	if !ok {
		return "", "", false
	}
	name, err := files.Clean(r.PathValue(part))
	if strings.EqualFold(strings.TrimRight(name, ". "), settingsName) { // on some file systems, these do not count
		err = fs.ErrPermission // only the settings routes may read and change this file
	}
	if err != nil {
		u.sender.Error(w, err)
		return "", "", false
	}
	return path.Join(user, name), name, true
}

// styleSheet is the style sheet of a user, which the page of the front end links to.
const styleSheet = "user.css"

// FileGet answers GET /userdata/{file} with the file, which a browser saves. Only the style
// sheet of the user has its content type.
func (u *Users) FileGet(w http.ResponseWriter, r *http.Request) {
	stored, name, ok := u.userFile(w, r, "file")
	if !ok {
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if name != styleSheet {
		u.sender.SendMade(w, r, u.accounts.store, stored, true)
		return
	}
	w.Header().Set("Content-Disposition", content.Disposition(name, false))
	u.sender.Send(w, r, u.accounts.store, stored, content.HostType(name))
}

// FilePut answers POST /userdata/{file}. It stores the body as the file.
func (u *Users) FilePut(w http.ResponseWriter, r *http.Request) {
	stored, name, ok := u.userFile(w, r, "file")
	if !ok {
		return
	}
	body := &web.Source{Reader: r.Body}
	if err := u.accounts.store.Write(stored, body, overwrites(r)); err != nil {
		u.writeFailed(w, body, err)
		return
	}
	u.userdataDone(w, r, stored, name)
}

// overwrites reports whether the request may replace an existing file. It may by
// default.
func overwrites(r *http.Request) bool { return r.URL.Query().Get("overwrite") != "false" }

// FileDelete answers DELETE /userdata/{file} with status 204.
func (u *Users) FileDelete(w http.ResponseWriter, r *http.Request) {
	stored, _, ok := u.userFile(w, r, "file")
	if !ok {
		return
	}
	if err := u.accounts.store.Remove(stored); err != nil {
		u.sender.Error(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// FileMove answers POST /userdata/{file}/move/{dest}. It renames the file.
func (u *Users) FileMove(w http.ResponseWriter, r *http.Request) {
	from, _, ok := u.userFile(w, r, "file")
	if !ok {
		return
	}
	to, name, ok := u.userFile(w, r, "dest")
	if !ok {
		return
	}
	if err := u.accounts.store.Rename(from, to, overwrites(r)); err != nil {
		u.sender.Error(w, err)
		return
	}
	u.userdataDone(w, r, to, name)
}

// userdataDone answers with the name of a file that has been written. With
// full_info=true, it answers with the name, size and time.
func (u *Users) userdataDone(w http.ResponseWriter, r *http.Request, stored, name string) {
	if !asked(r, "full_info") {
		web.Answer(w, http.StatusOK, name)
		return
	}
	info, err := fs.Stat(u.accounts.store, stored)
	if err != nil {
		u.sender.Error(w, err)
		return
	}
	web.Answer(w, http.StatusOK, fullInfo(name, info))
}

// asked reports whether a query parameter is "true", in any case of letters.
func asked(r *http.Request, what string) bool {
	return strings.EqualFold(r.URL.Query().Get(what), "true")
}

// writeFailed answers a request whose body could not be stored.
func (u *Users) writeFailed(w http.ResponseWriter, from *web.Source, err error) {
	if from.Err != nil {
		web.Unread(w, from.Err)
		return
	}
	u.sender.Error(w, err)
}
