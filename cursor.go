package nodebus

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Cursor is a place in the sequence of events: the life of the log, and the ID of an
// event in it. A client that reconnects with the cursor of its last event receives what
// it missed. A Cursor without an Epoch is no place. Clients send the text of a
// cursor as it came; docs/wire.md says what they may rely on.
type Cursor struct {
	Epoch string // the life of the log; 1 to 43 letters and digits of ASCII
	ID    uint64 // of an event; the place is after this event. 0: before the first event
}

// String returns "<epoch>-<id>", the text that [ParseCursor] reads. It is empty if Epoch
// is empty.
func (c Cursor) String() string {
	if c.Epoch == "" {
		return ""
	}
	return c.Epoch + "-" + strconv.FormatUint(c.ID, 10)
}

// otherEpoch is the epoch of a cursor without an epoch. No log has this epoch.
const otherEpoch = "0"

const (
	// epochMax is the maximum length of an epoch, in bytes.
	epochMax = 43
	// idMax is the maximum number of digits of an ID.
	idMax = 20
)

// ParseCursor reads the text of a cursor. The empty text is the zero Cursor. A number
// alone is a place in another life of the log, because clients of earlier versions
// store such numbers. For any other text, ParseCursor returns an error that contains the
// start of the text.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	epoch, number, found := strings.Cut(text, "-")
	if !found {
		epoch, number = otherEpoch, text
	}
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil || !isEpoch(epoch) || len(number) > idMax {
		return Cursor{}, fmt.Errorf("nodebus: %.64q is not a cursor; send the cursor of the last event, or an empty text", text)
	}
	return Cursor{Epoch: epoch, ID: id}, nil
}

// isEpoch reports whether s is the epoch of a log: 1 to 43 letters and digits.
func isEpoch(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != "" && len(s) <= epochMax
}

// A hub asks its log for the newest place when a client brings a newer cursor. Clients can
// invent such cursors, and a log that several processes share may have to store a message to
// find the place. So the questions of a hub have a limit.
const (
	placeBurst = 64                     // questions without a pause
	placeEvery = 500 * time.Millisecond // between further questions; who comes earlier waits
	placeTries = 3                      // while the log fails
)

// placeAsks are the questions for the newest place.
type placeAsks struct {
	mu   sync.Mutex // not held while the log is called
	next *placeAsk  // has not begun; its answer is for all who come until then
	paid time.Time  // each question moves it by placeEvery
}

// placeAsk is a question. at is the zero Cursor if the log fails.
type placeAsk struct {
	at       Cursor
	answered chan struct{}
}

// join returns the next question. own is true for the caller that asks it, after wait.
func (q *placeAsks) join(now time.Time) (a *placeAsk, wait time.Duration, own bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next != nil {
		return q.next, 0, false
	}
	q.next = &placeAsk{answered: make(chan struct{})}
	if earliest := now.Add(-placeBurst * placeEvery); q.paid.Before(earliest) {
		q.paid = earliest
	}
	q.paid = q.paid.Add(placeEvery)
	return q.next, q.paid.Sub(now), true
}

// begin says that the log is asked now: who comes later needs another answer.
func (q *placeAsks) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = nil
}
