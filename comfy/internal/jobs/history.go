package jobs

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// HistoryList answers GET /history with all records, the oldest first. With
// max_items alone, it answers with the last records. With offset, it skips that
// many of the oldest records, and max_items limits the rest.
func (s *Jobs) HistoryList(w http.ResponseWriter, r *http.Request) {
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
		web.Unavailable(w, s.Logger, err)
		return
	}
	s.history(w, r, ids)
}

// history answers with the records with these ids. Ids without a record are left out.
func (s *Jobs) history(w http.ResponseWriter, r *http.Request, ids []string) {
	out, first := web.NewStream(w), true
	out.Text("{")
	err := nodebus.Protect(func() error {
		for _, id := range ids {
			rec, err := s.Engine.Store().Get(r.Context(), id)
			switch {
			case errors.Is(err, flow.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			out.Comma(&first)
			out.Member(rec.Prompt.ID)
			if !s.entry(out, r, &rec) {
				return nil
			}
		}
		return nil
	})
	out.Text("}")
	out.End(s.Logger, err)
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
		web.Fail(w, http.StatusBadRequest, name+" must be a whole number")
		return 0, false
	}
	return n, true
}

// recordIDs returns the ids of the records that want selects, the oldest first. If last is
// negative, it returns all of them; otherwise last is the number of the newest records to
// return. A nil want selects all. It does not return the records, because they may need
// much memory.
func (s *Jobs) recordIDs(r *http.Request, last int, want func(rec *flow.Record) bool) (ids []string, err error) {
	err = nodebus.Protect(func() error {
		for rec, err := range s.Engine.Store().List(r.Context()) {
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

// HistoryOne answers GET /history/{id} with an object that contains the record of
// the prompt. If there is no record, the object is empty.
func (s *Jobs) HistoryOne(w http.ResponseWriter, r *http.Request) {
	s.history(w, r, []string{r.PathValue("id")})
}

// HistoryChange answers POST /history. It deletes the named records, or all with
// clear, but only records that the request may change.
func (s *Jobs) HistoryChange(w http.ResponseWriter, r *http.Request) {
	var c change
	if !web.ReadJSON(w, r, &c) {
		return
	}
	named := c.named()
	ids, err := s.recordIDs(r, -1, func(rec *flow.Record) bool {
		return (bool(c.Clear) || named[rec.Prompt.ID]) && web.MayChange(r, rec.Prompt.ClientID)
	})
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	if err := s.Engine.Store().Delete(r.Context(), ids...); err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	web.Done(w)
}

// entry appends a record in the format of the history. It returns false if the answer
// cannot go on.
func (s *Jobs) entry(out *web.Stream, r *http.Request, rec *flow.Record) bool {
	outputs, meta := web.Object{}, web.Object{}
	for _, o := range rec.Outputs {
		outputs.Add(o.UniqueID, o.UI)
		var parent *string
		if o.ParentID != "" {
			parent = &o.ParentID
		}
		meta.Add(o.UniqueID, web.Object{
			{"node_id", o.UniqueID}, {"display_node", o.DisplayID}, {"parent_node", parent}, {"real_node_id", o.RealID},
		})
	}
	out.Text(`{"prompt":`)
	if !writeItem(out, s.item(r, rec.Prompt)) {
		return false
	}
	out.Text(`,"outputs":`)
	out.Value(outputs)
	out.Text(`,"status":`)
	out.Value(statusOf(rec))
	out.Text(`,"meta":`)
	ok := out.Value(meta)
	if ok && r.URL.Query().Has("outcome") {
		out.Text(`,"nodebus":`)
		ok = out.Value(detailOf(rec))
	}
	out.Text("}")
	return ok
}

// detailOf returns what a record says beside what ComfyUI's records say. Only a request that
// asks for it with outcome in its query receives it, because it can be long.
func detailOf(rec *flow.Record) web.Object {
	o := web.Object{{"state", rec.State}, {"attempt", rec.Attempt}}
	if rec.Prompt.Rejected != nil {
		o.Add("rejected", rec.Prompt.Rejected)
	}
	if len(rec.Errors) > 0 {
		o.Add("errors", rec.Errors)
	}
	if len(rec.Nodes) > 0 {
		o.Add("nodes", rec.Nodes)
	}
	if rec.NodesLeftOut > 0 {
		o.Add("nodes_left_out", rec.NodesLeftOut)
	}
	return o
}

// statusOf returns the result of a prompt, and the messages about its start, its
// cached nodes and its end.
func statusOf(rec *flow.Record) web.Object {
	text := "error"
	if rec.State == nodebus.Succeeded {
		text = "success"
	}
	return web.Object{{"status_str", text}, {"completed", rec.State == nodebus.Succeeded}, {"messages", messages(rec)}}
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
