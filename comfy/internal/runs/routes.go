package runs

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// Show answers GET /nodebus/runs/{id} with the state of a run, see [fold.Run]. If the
// request accepts text/event-stream, the state is the first event of a stream, and the
// later events of the run follow. The stream ends after the closing event. An EventSource
// then comes back, and the answer with status 204 tells it to stop. A request that may not
// watch the prompt is answered as if there were no such prompt.
func (s *Runs) Show(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("preview") {
		s.Preview(w, r)
		return
	}
	w.Header().Add("Vary", "Accept")
	id := r.PathValue("id")
	known, err := s.knownRun(r.Context(), id)
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	if !s.mayFollow(r, id, &known) {
		unknownRun(w)
		return
	}
	stream := wantsStream(r)
	back := strings.HasPrefix(r.Header.Get("Last-Event-ID"), endEpoch+"-") // the client has the last event
	if stream && !back && known.isKnown() {
		s.followRun(w, r, id, known.created)
		return
	}
	run, err := s.snapshot(r.Context(), id, known.created)
	switch {
	case err != nil:
		web.Unavailable(w, s.Logger, err)
	case run == nil:
		unknownRun(w)
	case stream && back && run.Closed:
		w.WriteHeader(http.StatusNoContent)
	case stream:
		s.followRun(w, r, id, known.created)
	default:
		defer web.LimitWrite(w)()
		w.Header().Set("Cache-Control", "no-store")
		web.Answer(w, http.StatusOK, run)
	}
}

// Preview answers with the image of a preview that a stream has named. Another request
// without the id of a run is a mistake.
func (s *Runs) Preview(w http.ResponseWriter, r *http.Request) {
	if !r.URL.Query().Has("preview") {
		w.Header().Set("Allow", http.MethodPost)
		web.Fail(w, http.StatusMethodNotAllowed, "the address needs the id of a run: GET nodebus/runs/{id}; POST submits a prompt and waits for its end")
		return
	}
	s.Streams.ServePreview(w, r)
}

// Submit answers POST /nodebus/runs. It submits the prompt in the body, like POST
// /prompt, and answers when the run has ended, with its last state. If the request accepts
// text/event-stream, it answers with the same stream as Show. The run goes on if the
// client goes away.
func (s *Runs) Submit(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	body, ok := web.ReadBody(w, r) // the client may be slow, and Close must not wait for it
	if !ok {
		return
	}
	client := follower(r)
	if status, err := s.Enter(client); err != nil {
		web.Fail(w, status, err.Error())
		return
	}
	defer s.Leave(client)
	ctx, stop := s.untilClosed(r.Context())
	defer stop()
	ready := make(chan struct{})
	sub, ok := s.Accept(w, r.WithContext(ctx), body, ready)
	if !ok {
		return
	}
	s.HeadStart(sub.Prompt.ClientID, ready)
	w.Header().Set("Location", "runs/"+url.PathEscape(sub.ID)) // relative to the address of the request
	if wantsStream(r) {
		s.streamRun(w, r, sub.ID, sub.Prompt.Created)
		return
	}
	// The run may take longer than the timeouts of the http.Server.
	c := http.NewResponseController(w)
	_, _ = c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})
	_, err := sub.Wait(ctx)
	switch {
	case r.Context().Err() != nil: // the client is gone
	case ctx.Err() != nil:
		web.Fail(w, http.StatusServiceUnavailable, "the server is closing; the run goes on, or goes on later")
	case errors.Is(err, flow.ErrNotFound):
		web.Fail(w, http.StatusNotFound, "the prompt was deleted from the queue")
	case err != nil:
		web.Unavailable(w, s.Logger, err)
	default:
		s.answerEnd(w, r, sub)
	}
}

// answerEnd answers with the last state of a run that has ended.
func (s *Runs) answerEnd(w http.ResponseWriter, r *http.Request, sub *flow.Submission) {
	run, err := s.snapshot(r.Context(), sub.ID, sub.Prompt.Created)
	switch {
	case err != nil:
		web.Unavailable(w, s.Logger, err)
		return
	case run == nil: // the store has lost the record already, and perhaps another prompt has the id
		unknownRun(w)
		return
	}
	body, err := web.Encode(run)
	if err == nil && sub.Rejected != nil {
		var problems web.Raw
		problems, err = web.Encode(sub.Rejected.Nodes)
		body = append(append(append(body[:len(body)-1], `,"node_errors":`...), problems...), '}')
	}
	defer web.LimitWrite(w)()
	if err != nil {
		web.Answer(w, http.StatusInternalServerError, web.Raw(web.Unencodable))
		return
	}
	web.Answer(w, http.StatusOK, body)
}

// untilClosed returns a context that also ends when the server is closed.
func (s *Runs) untilClosed(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.Closed, func() { cancel(nodebus.ErrClosed) })
	return ctx, func() {
		unhook()
		cancel(nil)
	}
}

// unknownRun answers a request for a run that does not exist, or that the request may not
// see.
func unknownRun(w http.ResponseWriter) {
	web.Fail(w, http.StatusNotFound, "no run with this id is known")
}

// wantsStream reports whether the request accepts a stream of events.
func wantsStream(r *http.Request) bool {
	if r.Method == http.MethodHead {
		return false
	}
	for _, accept := range r.Header.Values("Accept") {
		for typ := range strings.SplitSeq(accept, ",") {
			typ, _, _ = strings.Cut(typ, ";")
			if strings.EqualFold(strings.TrimSpace(typ), "text/event-stream") {
				return true
			}
		}
	}
	return false
}

// knownRun is what the queue and the store know about a run.
type knownRun struct {
	queued  bool         // the prompt waits or runs
	leased  bool         // the prompt runs
	client  string       // the client of the prompt
	created time.Time    // when the prompt was submitted; prompts with the same id differ in it
	record  *flow.Record // nil if the prompt has not ended
}

func (k *knownRun) isKnown() bool { return k.queued || k.record != nil }

// is reports whether k is the prompt that was submitted at a time, or nobody knows the
// prompt. The zero time means any.
func (k *knownRun) is(created time.Time) bool {
	return !k.isKnown() || created.IsZero() || k.created.Equal(created)
}

// knownRun looks for a run in the queue and in the store.
func (s *Runs) knownRun(ctx context.Context, id string) (k knownRun, err error) {
	for q, err := range s.Engine.Queued(ctx, id) {
		if err == nil {
			k = knownRun{queued: true, leased: q.Leased, client: q.Prompt.ClientID, created: q.Prompt.Created}
		}
		return k, err
	}
	err = nodebus.Protect(func() error {
		rec, err := s.Engine.Store().Get(ctx, id)
		if err == nil {
			k = knownRun{record: &rec, client: rec.Prompt.ClientID, created: rec.Prompt.Created}
		}
		return err
	})
	if errors.Is(err, flow.ErrNotFound) {
		err = nil
	}
	return k, err
}

// mayFollow reports whether the request may see a run: as on a socket, a run of its own
// client, or a run that the grant allows it to watch.
func (s *Runs) mayFollow(r *http.Request, id string, k *knownRun) bool {
	if !s.Authorized {
		return true
	}
	g, client := web.Granted(r), follower(r)
	return k.isKnown() && client != "" && client == k.client || g.Allows(id)
}

// follower returns the client that follows a run: the client of the grant, or else the
// client that the request names; empty if it names none.
func follower(r *http.Request) string {
	return cmp.Or(web.Granted(r).Client, r.URL.Query().Get("clientId"))
}
