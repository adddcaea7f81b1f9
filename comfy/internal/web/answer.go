package web

import (
	"log/slog"
	"net/http"
	"time"
)

// Answer writes the status and v as JSON. If v cannot be encoded, the status is
// 500.
func Answer(w http.ResponseWriter, status int, v any) {
	body, err := appendJSON(nil, v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(Unencodable)
	}
	write(w, status, body)
}

// Unencodable is the answer in place of an answer that has no JSON form.
const Unencodable = `{"error":"the answer cannot be encoded as JSON"}`

// Fail answers with an error text. The text is in a JSON object, because clients
// parse the body of every answer as JSON.
func Fail(w http.ResponseWriter, status int, text string) {
	w.Header().Del("Cache-Control")
	Answer(w, status, map[string]string{"error": text})
}

// sendTime is the maximum time for a client to receive an answer while other
// requests wait for the end of that answer.
const sendTime = time.Minute

// LimitWrite sets a write deadline of sendTime, because other requests wait until the
// answer is written. The caller must call sent after the answer is written; sent
// removes the deadline, so that the next request on the connection has none.
func LimitWrite(w http.ResponseWriter) (sent func()) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(sendTime))
	return func() { _ = c.SetWriteDeadline(time.Time{}) }
}

// Done answers with status 200 and an empty body, as most commands do. The answer
// has a Content-Type nevertheless, because ComfyUI sends one.
func Done(w http.ResponseWriter) {
	if h := w.Header(); h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	w.WriteHeader(http.StatusOK)
}

// Unavailable answers a request for which the queue or the store has failed. It logs the
// error and does not show it to the client.
func Unavailable(w http.ResponseWriter, log *slog.Logger, err error) {
	log.Error("queue or store failed", "error", err)
	Fail(w, http.StatusServiceUnavailable, "the queue or the store is not available, try again later")
}
