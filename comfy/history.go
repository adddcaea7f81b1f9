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
	ids, err := s.recordIDs(r, last, nil)
	if offset >= 0 {
		ids = ids[min(offset, len(ids)):]
		if limit >= 0 {
			ids = ids[:min(limit, len(ids))]
		}
	}
	if err != nil {
		s.unavailable(w, err)
		return
	}
	s.history(w, r, ids)
}

// history answers with the records with these ids. Ids without a record are left out.
func (s *Server) history(w http.ResponseWriter, r *http.Request, ids []string) {
	out, first := newStream(w), true
	out.text("{")
	err := nodebus.Protect(func() error {
		for _, id := range ids {
			rec, err := s.engine.Store().Get(r.Context(), id)
			switch {
			case errors.Is(err, flow.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			out.comma(&first)
			out.member(rec.Prompt.ID)
			if !s.entry(out, r, &rec) {
				return nil
			}
		}
		return nil
	})
	out.text("}")
	out.end(s, err)
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

// recordIDs returns the ids of the records that want selects, the oldest first. If last is
// negative, it returns all of them; otherwise last is the number of the newest records to
// return. A nil want selects all. It does not return the records, because they may need
// much memory.
func (s *Server) recordIDs(r *http.Request, last int, want func(rec *flow.Record) bool) (ids []string, err error) {
	err = nodebus.Protect(func() error {
		for rec, err := range s.engine.Store().List(r.Context()) {
			switch {
			case err != nil:
				return err
			case last >= 0 && len(ids) >= last:
				return nil
			case want == nil || want(&rec):
				ids = append(ids, rec.Prompt.ID)
			}
		}
		return nil
	})
	slices.Reverse(ids)
	return ids, err
}

// historyOne answers GET /history/{id} with an object that contains the record of
// the prompt. If there is no record, the object is empty.
func (s *Server) historyOne(w http.ResponseWriter, r *http.Request) {
	s.history(w, r, []string{r.PathValue("id")})
}

// historyChange answers POST /history. It deletes the named records, or all with
// clear, but only records that the request may change.
func (s *Server) historyChange(w http.ResponseWriter, r *http.Request) {
	var c change
	if !readJSON(w, r, &c) {
		return
	}
	named := c.named()
	ids, err := s.recordIDs(r, -1, func(rec *flow.Record) bool {
		return (bool(c.Clear) || named[rec.Prompt.ID]) && mayChange(r, rec.Prompt)
	})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	if err := s.engine.Store().Delete(r.Context(), ids...); err != nil {
		s.unavailable(w, err)
		return
	}
	done(w)
}

// entry appends a record in the format of the history. It returns false if the answer
// cannot go on.
func (s *Server) entry(out *stream, r *http.Request, rec *flow.Record) bool {
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
	out.text(`{"prompt":`)
	if !out.item(s.item(r, rec.Prompt)) {
		return false
	}
	out.text(`,"outputs":`)
	out.value(outputs)
	out.text(`,"status":`)
	out.value(statusOf(rec))
	out.text(`,"meta":`)
	ok := out.value(meta)
	if ok && r.URL.Query().Has("outcome") {
		out.text(`,"nodebus":`)
		ok = out.value(detailOf(rec))
	}
	out.text("}")
	return ok
}

// detailOf returns what a record says beside what ComfyUI's records say. Only a request that
// asks for it with outcome in its query receives it, because it can be long.
func detailOf(rec *flow.Record) object {
	o := object{{"state", rec.State}, {"attempt", rec.Attempt}}
	if rec.Prompt.Rejected != nil {
		o.add("rejected", rec.Prompt.Rejected)
	}
	if len(rec.Errors) > 0 {
		o.add("errors", rec.Errors)
	}
	if len(rec.Nodes) > 0 {
		o.add("nodes", rec.Nodes)
	}
	if rec.NodesLeftOut > 0 {
		o.add("nodes_left_out", rec.NodesLeftOut)
	}
	return o
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
