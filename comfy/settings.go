package comfy

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
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
func (s *Server) settings(w http.ResponseWriter, r *http.Request) (all settings, ok bool) {
	user, ok := s.user(w, r, http.StatusUnauthorized) // on 401 the front end logs out
	if !ok {
		return nil, false
	}
	all, err := s.users.settings(user)
	if err != nil {
		s.fileError(w, err)
		return nil, false
	}
	return all, true
}

// settingsAll answers GET /settings with all settings of the user.
func (s *Server) settingsAll(w http.ResponseWriter, r *http.Request) {
	if all, ok := s.settings(w, r); ok {
		answer(w, http.StatusOK, all)
	}
}

// settingGet answers GET /settings/{id} with one value, or null if it is not set.
func (s *Server) settingGet(w http.ResponseWriter, r *http.Request) {
	if all, ok := s.settings(w, r); ok {
		answer(w, http.StatusOK, all[r.PathValue("id")])
	}
}

// settingsMerge answers POST /settings. It sets the settings in the body and keeps
// the others.
func (s *Server) settingsMerge(w http.ResponseWriter, r *http.Request) {
	var some settings
	if !readJSON(w, r, &some) {
		return
	}
	if some == nil {
		fail(w, http.StatusBadRequest, "the body must be a JSON object")
		return
	}
	s.set(w, r, some)
}

// settingSet answers POST /settings/{id}. The body is the new value.
func (s *Server) settingSet(w http.ResponseWriter, r *http.Request) {
	var value json.RawMessage
	if readJSON(w, r, &value) {
		s.set(w, r, settings{r.PathValue("id"): bytes.Clone(value)})
	}
}

// set sets some settings of the user who sends the request, and answers.
func (s *Server) set(w http.ResponseWriter, r *http.Request, some settings) {
	user, ok := s.user(w, r, http.StatusUnauthorized)
	if !ok {
		return
	}
	if err := s.users.merge(user, some); err != nil {
		s.fileError(w, err)
		return
	}
	done(w)
}

// merge sets some settings of a user and keeps the others.
func (u *users) merge(user string, some settings) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	all, err := u.settings(user)
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
	return writeFrom(u.store, user+"/"+settingsName, all)
}

// settings reads the settings of a user.
func (u *users) settings(user string) (all settings, err error) {
	all = settings{}
	if err := readInto(u.store, user+"/"+settingsName, &all); err != nil {
		return nil, err
	}
	if all == nil { // the file contains null
		all = settings{}
	}
	return all, nil
}
