package comfy

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
)

// settingsMax bounds the settings of a user, in bytes.
const settingsMax = 8 << 20

// settings are those of a user. Their values are the front end's business.
type settings map[string]json.RawMessage

// settingsName is the file, in a user's folder, that they are in.
const settingsName = "comfy.settings.json"

// settings are those of the user whose request it is. If they cannot be had it
// has answered.
func (s *Server) settings(w http.ResponseWriter, r *http.Request) (user string, all settings, ok bool) {
	user, ok = s.user(w, r, http.StatusUnauthorized) // the front end logs out
	if !ok {
		return "", nil, false
	}
	all = settings{}
	if err := readInto(s.users.store, user+"/"+settingsName, &all); err != nil {
		s.fileError(w, err)
		return "", nil, false
	}
	if all == nil { // the file says null
		all = settings{}
	}
	return user, all, true
}

// settingsAll answers GET /settings.
func (s *Server) settingsAll(w http.ResponseWriter, r *http.Request) {
	if _, all, ok := s.settings(w, r); ok {
		answer(w, http.StatusOK, all)
	}
}

// settingGet answers GET /settings/{id}, with null if it is not set.
func (s *Server) settingGet(w http.ResponseWriter, r *http.Request) {
	if _, all, ok := s.settings(w, r); ok {
		answer(w, http.StatusOK, all[r.PathValue("id")])
	}
}

// settingsMerge answers POST /settings: those named are set, the others stay.
func (s *Server) settingsMerge(w http.ResponseWriter, r *http.Request) {
	var some settings
	if !readJSON(w, r, &some) {
		return
	}
	if some == nil {
		fail(w, http.StatusBadRequest, "the body is not an object")
		return
	}
	s.set(w, r, some)
}

// settingSet answers POST /settings/{id}, of which the body is the value.
func (s *Server) settingSet(w http.ResponseWriter, r *http.Request) {
	var value json.RawMessage
	if readJSON(w, r, &value) {
		s.set(w, r, settings{r.PathValue("id"): bytes.Clone(value)})
	}
}

func (s *Server) set(w http.ResponseWriter, r *http.Request, some settings) {
	s.users.mu.Lock()
	defer s.users.mu.Unlock()
	user, all, ok := s.settings(w, r)
	if !ok {
		return
	}
	maps.Copy(all, some)
	size := 0
	for id, value := range all {
		size += len(id) + len(value)
	}
	if size > settingsMax {
		tooLarge(w, settingsMax)
		return
	}
	if err := writeFrom(s.users.store, user+"/"+settingsName, all); err != nil {
		s.fileError(w, err)
		return
	}
	done(w)
}
