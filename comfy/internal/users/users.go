// Package users serves the users of the server, and the settings and files of each user.
package users

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/comfy/internal/web"
)

// Users serves the routes of users. Use [New] to make Users.
type Users struct {
	accounts *accounts
	sender   content.Sender
}

// New returns Users with their data in the folder dir, or in memory if dir is empty. Without
// multi there is one user.
func New(dir string, multi bool, sender content.Sender) *Users {
	return &Users{accounts: newAccounts(dir, multi), sender: sender}
}

// List answers GET /users. The front end shows its login page only if the
// answer has the member users.
func (u *Users) List(w http.ResponseWriter, _ *http.Request) {
	if !u.accounts.multi {
		_, err := fs.Stat(u.accounts.store, singleUser)
		web.Answer(w, http.StatusOK, web.Object{{"storage", "server"}, {"migrated", err == nil}})
		return
	}
	all, err := u.accounts.all()
	if err != nil {
		u.sender.Error(w, err)
		return
	}
	web.Answer(w, http.StatusOK, web.Object{{"storage", "server"}, {"users", all}})
}

// Add answers POST /users with the id of the new user.
func (u *Users) Add(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Username string `json:"username"`
	}
	if !web.ReadJSON(w, r, &req) {
		return
	}
	switch name := strings.TrimSpace(req.Username); {
	case !u.accounts.multi:
		web.Fail(w, http.StatusBadRequest, "this server has only one user")
	case name == "" || len(name) > userNameMax || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		web.Fail(w, http.StatusBadRequest, fmt.Sprintf("username must have 1 to %d bytes and no control characters", userNameMax))
	default:
		id, err := u.accounts.add(name)
		switch {
		case errors.Is(err, errDuplicate):
			web.Fail(w, http.StatusBadRequest, err.Error())
		case err != nil:
			u.sender.Error(w, err)
		default:
			web.Answer(w, http.StatusOK, id)
		}
	}
}

// user returns the id of the user who sends the request. If ok is false, user has
// already answered. unknown is the status for an unknown user: clients expect a
// different status on some routes.
func (u *Users) user(w http.ResponseWriter, r *http.Request, unknown int) (id string, ok bool) {
	id, err := u.accounts.of(r)
	switch {
	case errors.Is(err, errUnknownUser):
		web.Fail(w, unknown, err.Error())
		return "", false
	case err != nil:
		u.sender.Error(w, err)
		return "", false
	}
	return id, true
}
