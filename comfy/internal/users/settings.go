package users

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// settingsMax is the maximum size of all settings of one user, in bytes.
const settingsMax = 8 << 20

// settings maps the ids of one user's settings to their values. The front end
// defines the ids and the values; the server only stores them.
type settings map[string]json.RawMessage

// settingsName is the name of the file with the settings in a user's folder.
const settingsName = "comfy.settings.json"

// settings reads the settings of the user who sends the request. If ok is false,
// settings has already answered.
func (u *Users) settings(w http.ResponseWriter, r *http.Request) (all settings, ok bool) {
	user, ok := u.user(w, r, http.StatusUnauthorized) // on 401 the front end logs out
	if !ok {
		return nil, false
	}
	all, err := u.accounts.settings(user)
	if err != nil {
		u.sender.Error(w, err)
		return nil, false
	}
	return all, true
}

// SettingsAll answers GET /settings with all settings of the user.
func (u *Users) SettingsAll(w http.ResponseWriter, r *http.Request) {
	if all, ok := u.settings(w, r); ok {
		web.Answer(w, http.StatusOK, all)
	}
}

// SettingGet answers GET /settings/{id} with one value, or null if it is not set.
func (u *Users) SettingGet(w http.ResponseWriter, r *http.Request) {
	if all, ok := u.settings(w, r); ok {
		web.Answer(w, http.StatusOK, all[r.PathValue("id")])
	}
}

// SettingsMerge answers POST /settings. It sets the settings in the body and keeps
// the others.
func (u *Users) SettingsMerge(w http.ResponseWriter, r *http.Request) {
	var some settings
	if !web.ReadJSON(w, r, &some) {
		return
	}
	if some == nil {
		web.Fail(w, http.StatusBadRequest, "the body must be a JSON object")
		return
	}
	u.set(w, r, some)
}

// SettingSet answers POST /settings/{id}. The body is the new value.
func (u *Users) SettingSet(w http.ResponseWriter, r *http.Request) {
	var value json.RawMessage
	if web.ReadJSON(w, r, &value) {
		u.set(w, r, settings{r.PathValue("id"): bytes.Clone(value)})
	}
}

// set sets some settings of the user who sends the request, and answers.
func (u *Users) set(w http.ResponseWriter, r *http.Request, some settings) {
	user, ok := u.user(w, r, http.StatusUnauthorized)
	if !ok {
		return
	}
	if err := u.accounts.merge(user, some); err != nil {
		u.sender.Error(w, err)
		return
	}
	web.Done(w)
}

// merge sets some settings of a user and keeps the others.
func (a *accounts) merge(user string, some settings) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, err := a.settings(user)
	if err != nil {
		return err
	}
	maps.Copy(all, some)
	size := 0
	for id, value := range all {
		size += len(id) + len(value)
	}
	if size > settingsMax {
		return &http.MaxBytesError{Limit: settingsMax}
	}
	return writeFrom(a.store, user+"/"+settingsName, all)
}

// settings reads the settings of a user.
func (a *accounts) settings(user string) (all settings, err error) {
	all = settings{}
	if err := readInto(a.store, user+"/"+settingsName, &all); err != nil {
		return nil, err
	}
	if all == nil { // the file contains null
		all = settings{}
	}
	return all, nil
}
