package comfy

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// now returns the time in Unix milliseconds.
func now() int64 { return time.Now().UnixMilli() }

// historyList answers GET /history with all records, the oldest first. With
// max_items alone, it answers with the last records. With offset, it skips that
// many of the oldest records, and max_items limits the rest.
func (s *Server) historyList(w http.ResponseWriter, r *http.Request) {
	limit, ok := intQuery(w, r, "max_items", -1)
	if !ok {
		return
	}
	offset, ok := intQuery(w, r, "offset", -1)
	if !ok {
		return
	}
	last := limit
	if offset >= 0 {
		last = -1
	}
	records, err := s.records(r, last)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	if offset >= 0 {
		records = records[min(offset, len(records)):]
		if limit >= 0 {
			records = records[:min(limit, len(records))]
		}
	}
	entries := object{}
	for i := range records {
		entries.add(records[i].Prompt.ID, s.entry(r, &records[i]))
	}
	answer(w, http.StatusOK, entries)
}

// intQuery reads a whole number from the query. It returns def if the query does
// not have the name. If ok is false, intQuery has already answered.
func intQuery(w http.ResponseWriter, r *http.Request, name string, def int) (int, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, true
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		fail(w, http.StatusBadRequest, name+" must be a whole number")
		return 0, false
	}
	return n, true
}

// records returns records, the oldest first. If last is negative, it returns all
// records; otherwise last is the number of the newest records to return.
func (s *Server) records(r *http.Request, last int) (all []flow.Record, err error) {
	for rec, err := range s.engine.Store().List(r.Context()) {
		if err != nil {
			return nil, err
		}
		if last >= 0 && len(all) >= last {
			break
		}
		all = append(all, rec)
	}
	slices.Reverse(all)
	return all, nil
}

// historyOne answers GET /history/{id} with an object that contains the record of
// the prompt. If there is no record, the object is empty.
func (s *Server) historyOne(w http.ResponseWriter, r *http.Request) {
	entries := object{}
	rec, err := s.engine.Store().Get(r.Context(), r.PathValue("id"))
	switch {
	case err == nil:
		entries.add(rec.Prompt.ID, s.entry(r, &rec))
	case !errors.Is(err, flow.ErrNotFound):
		s.unavailable(w, err)
		return
	}
	answer(w, http.StatusOK, entries)
}

// historyChange answers POST /history. It deletes the named records, or all with
// clear, but only records that the request may change.
func (s *Server) historyChange(w http.ResponseWriter, r *http.Request) {
	var c change
	if !readJSON(w, r, &c) {
		return
	}
	records, err := s.records(r, -1)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	var ids []string
	named := c.named()
	for _, rec := range records {
		if (bool(c.Clear) || named[rec.Prompt.ID]) && mayChange(r, rec.Prompt) {
			ids = append(ids, rec.Prompt.ID)
		}
	}
	if err := s.engine.Store().Delete(r.Context(), ids...); err != nil {
		s.unavailable(w, err)
		return
	}
	done(w)
}

// entry returns a record in the format of the history.
func (s *Server) entry(r *http.Request, rec *flow.Record) object {
	outputs, meta := object{}, object{}
	for _, o := range rec.Outputs {
		outputs.add(o.UniqueID, o.UI)
		var parent *string
		if o.ParentID != "" {
			parent = &o.ParentID
		}
		meta.add(o.UniqueID, object{
			{"node_id", o.UniqueID}, {"display_node", o.DisplayID}, {"parent_node", parent}, {"real_node_id", o.RealID},
		})
	}
	return object{{"prompt", s.item(r, rec.Prompt)}, {"outputs", outputs}, {"status", statusOf(rec)}, {"meta", meta}}
}

// statusOf returns the result of a prompt, and the messages about its start, its
// cached nodes and its end.
func statusOf(rec *flow.Record) object {
	text := "error"
	if rec.State == nodebus.Succeeded {
		text = "success"
	}
	return object{{"status_str", text}, {"completed", rec.State == nodebus.Succeeded}, {"messages", messages(rec)}}
}

func messages(rec *flow.Record) [][2]any {
	all := [][2]any{}
	add := func(p nodebus.Payload) { all = append(all, [2]any{p.EventType(), p}) }
	if rec.Start != nil {
		add(*rec.Start)
	}
	if rec.Cached != nil {
		add(*rec.Cached)
	}
	switch {
	case rec.Success != nil:
		add(*rec.Success)
	case rec.Error != nil:
		add(*rec.Error)
	case rec.Interrupted != nil:
		add(*rec.Interrupted)
	}
	return all
}
