package conform

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// scripted is an event of the scripted server.
type scripted struct {
	typ    string
	data   string // JSON; the text form if the event is binary
	prompt string
	cursor string
	// attempt and time are in the envelope if the event has a prompt. An attempt below 2 is not sent.
	attempt int
	time    int64  // 0: the time at which the script begins
	binary  []byte // the frame of a binary event without its envelope; nil: a text message
	image   []byte // of a preview
	more    string // further members of the message, each with a comma before it
}

// marked returns the custom event that most tests send. Its text has characters of one
// to four bytes.
func marked(n int) scripted {
	return scripted{typ: "conform.mark", prompt: "p", attempt: 1 + max(n, 0)%3, data: fmt.Sprintf(`{"n":%d,"text":"a ä € 😀 \u2028 \"\\\n","list":[null,true,0.5,{"x":[]}]}`, n)}
}

// texted returns a progress_text.
func texted(n int) scripted {
	text := fmt.Sprint("step ", n, " of ½")
	return scripted{
		typ: "progress_text", prompt: "p", data: fmt.Sprintf(`{"node_id":"7","text":%q}`, text),
		binary: slices.Concat(u32(3), sized("7"), []byte(text)),
	}
}

// previewed returns a preview with a description. Its image is no image; no client looks.
func previewed(n int) scripted {
	image := append([]byte{0xff, 0xd8, 0, 0x80}, fmt.Sprint(n)...)
	about := `{"node_id":"7","prompt_id":"p","display_node_id":"7","parent_node_id":null,"real_node_id":"7","image_type":"image/jpeg"}`
	return scripted{typ: "b_preview_with_metadata", prompt: "p", attempt: 2, data: about, image: image, binary: slices.Concat(u32(4), sized(about), image)}
}

// stepped returns a standard event.
func stepped(n int) scripted {
	return scripted{typ: "progress", prompt: "p", data: fmt.Sprintf(`{"value":%d,"max":100000,"prompt_id":"p","node":"7"}`, n)}
}

// mixed returns events of all kinds.
func mixed(from int) []scripted {
	return []scripted{marked(from), texted(from + 1), stepped(from + 2), previewed(from + 3), marked(from + 4)}
}

// message returns the text message, or the envelope of a binary event.
func (e *scripted) message(envelope, data bool) string {
	m := `{"type":` + quoted(e.typ)
	if data {
		m += `,"data":` + e.data
	}
	if envelope && e.cursor != "" {
		m += `,"cursor":` + quoted(e.cursor)
	}
	if envelope && e.prompt != "" {
		m += fmt.Sprintf(`,"prompt_id":%s,"time":%d`, quoted(e.prompt), e.when())
		if e.attempt > 1 {
			m += fmt.Sprintf(`,"attempt":%d`, e.attempt)
		}
	}
	return m + e.more + "}"
}

// when returns the time in the envelope.
func (e *scripted) when() int64 {
	if e.prompt == "" {
		return 0
	}
	return cmp.Or(e.time, 1767225600123)
}

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// frame returns the payload of the event's WebSocket message, and its kind.
func (e *scripted) frame(envelope bool) (op byte, payload []byte) {
	switch {
	case e.binary == nil:
		return opText, []byte(e.message(envelope, true))
	case envelope:
		return opBinary, slices.Concat(u32(20034), sized(e.message(true, false)), e.binary)
	}
	return opBinary, e.binary
}

// block returns the event in a stream of Server-Sent Events.
func (e *scripted) block() string {
	block := "data: " + e.message(true, true) + "\n\n"
	if e.cursor != "" {
		block = "id: " + e.cursor + "\n" + block
	}
	return block
}

// differs says how a received event differs from the event that was sent. plain says
// that the client has no envelope.
func (e *scripted) differs(got ClientEvent, plain bool) string {
	typ := strings.Replace(got.Type, "b_preview", "b_preview_with_metadata", 1)
	typ = strings.Replace(typ, "_with_metadata_with_metadata", "_with_metadata", 1)
	var data, want any
	if err := json.Unmarshal([]byte(e.data), &want); err != nil {
		return "the script has no JSON: " + e.data
	}
	err := json.Unmarshal(got.Data, &data)
	switch {
	case typ != e.typ:
		return "its type is " + got.Type
	case !plain && got.Cursor != e.cursor:
		return fmt.Sprintf("its cursor is %q", got.Cursor)
	case !plain && got.PromptID != e.prompt:
		return fmt.Sprintf("its prompt is %q", got.PromptID)
	case !plain && max(got.Attempt, 1) != max(e.attempt, 1):
		return fmt.Sprintf("its attempt is %d, want %d", got.Attempt, max(e.attempt, 1))
	case !plain && got.Time != e.when():
		return fmt.Sprintf("its time is %d, want %d", got.Time, e.when())
	case err != nil:
		return fmt.Sprintf("its data is %.200q: %v", got.Data, err)
	case !contains(data, want):
		return fmt.Sprintf("its data is %.200s, want %.200s", got.Data, e.data)
	case got.Image != nil && !bytes.Equal(got.Image, e.image):
		return fmt.Sprintf("its image is %x, want %x", got.Image, e.image)
	}
	return ""
}

// contains reports whether got is want. An object of got may have further members.
func contains(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		for k := range maps.Keys(want) {
			value, has := m[k]
			ok = ok && (has || want[k] == nil) && contains(value, want[k])
		}
		return ok
	case []any:
		l, ok := got.([]any)
		return ok && slices.EqualFunc(l, want, contains)
	}
	return reflect.DeepEqual(got, want)
}

// script is what the server has to say: the events of one life of a log. It is safe for
// concurrent use.
type script struct {
	mu    sync.Mutex
	epoch string
	id    uint64
	all   []scripted
	start string
	from  map[string]int // by cursor, the number of events in all that are not after it
}

func newScript() *script {
	s := &script{}
	s.restart("first", 100)
	return s
}

// restart begins another life.
func (s *script) restart(epoch string, id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.id, s.all, s.from = epoch, id, nil, map[string]int{}
	s.start = s.end()
	s.from[s.start] = 0
}

// end returns the cursor of the newest event. s.mu is held.
func (s *script) end() string { return fmt.Sprint(s.epoch, "-", s.id) }

// say adds events, and gives them cursors. The numbers have holes, as events of other
// clients leave them.
func (s *script) say(events ...scripted) []scripted {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		s.id += 1 + s.id%3
		events[i].cursor, events[i].time = s.end(), 1767225600124+int64(len(s.all))
		s.all = append(s.all, events[i])
		s.from[s.end()] = len(s.all)
	}
	return events
}

// first returns the cursor before all events.
func (s *script) first() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start
}

// place returns the cursor of the newest event.
func (s *script) place() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end()
}

// after returns the events after a cursor. A client with a cursor of another life, and
// also a client that has only the gap, has missed all of them.
func (s *script) after(cursor string) (due []scripted, gap bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, ok := s.from[cursor]
	return slices.Clone(s.all[from:]), !ok
}

// lose forgets the oldest events, so that a client with a cursor before them has a gap.
func (s *script) lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = s.all[n:]
	for cursor, from := range s.from {
		if s.from[cursor] = from - n; from < n {
			delete(s.from, cursor)
		}
	}
}

// gap returns the message about lost events for a client with a cursor.
func (s *script) gap(since string) scripted {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.id + 1
	if len(s.all) > 0 {
		_, number, _ := strings.Cut(s.all[0].cursor, "-")
		_, _ = fmt.Sscan(number, &next)
	}
	epoch, number, _ := strings.Cut(since, "-")
	if epoch != s.epoch {
		since, number = s.epoch+"-0", "0"
	}
	return scripted{typ: "nodebus.gap", cursor: since, data: fmt.Sprintf(`{"since":%s,"next":%d}`, number, next)}
}
