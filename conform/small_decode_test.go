package conform_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus/conform"
)

// decode decodes a message, and handles what the client itself needs.
func (c *small) decode(payload []byte, isBinary bool) (ev conform.ClientEvent, ok bool) {
	if isBinary {
		ev, ok = decodeBinary(payload)
	} else {
		ev, ok = decodeText(payload)
	}
	if !ok {
		return ev, false
	}
	switch {
	case c.has("knows no attempts"):
		ev.Attempt = 0
	case c.has("invents times") && ev.Time != 0:
		ev.Time = time.Now().UnixMilli()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.has("forgets binary cursors") && isBinary:
	case c.has("compares cursors") && number(ev.Cursor) <= number(c.since):
	case c.has("clears its cursor"):
		c.since = ev.Cursor
	case c.has("has no cursor before events") && ev.Type == "status":
	case ev.Cursor != "":
		c.since = ev.Cursor
	}
	switch ev.Type {
	case "status":
		var s struct{ SID string }
		if _ = json.Unmarshal(ev.Data, &s); s.SID != "" && !c.has("forgets its sid") {
			c.id = s.SID
		}
	case "nodebus.watching":
		c.answered(ev.Data)
	}
	return ev, true
}

func number(cursor string) uint64 {
	_, digits, _ := strings.Cut(cursor, "-")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// decodeText decodes a text message, or the envelope of a binary message.
func decodeText(payload []byte) (ev conform.ClientEvent, ok bool) {
	var m map[string]json.RawMessage
	if json.Unmarshal(payload, &m) != nil || json.Unmarshal(m["type"], &ev.Type) != nil || ev.Type == "" {
		return ev, false
	}
	_ = json.Unmarshal(m["cursor"], &ev.Cursor)
	_ = json.Unmarshal(m["prompt_id"], &ev.PromptID)
	_ = json.Unmarshal(m["attempt"], &ev.Attempt)
	_ = json.Unmarshal(m["time"], &ev.Time)
	ev.Data = m["data"]
	return ev, true
}

// take splits the first four bytes off.
func take(b []byte) (n int, rest []byte) {
	if len(b) < 4 {
		return -1, nil
	}
	return int(binary.BigEndian.Uint32(b)), b[4:]
}

// takeText splits a text with its length off.
func takeText(b []byte) (text string, rest []byte, ok bool) {
	n, rest := take(b)
	if n < 0 || n > len(rest) {
		return "", nil, false
	}
	return string(rest[:n]), rest[n:], true
}

func decodeBinary(payload []byte) (ev conform.ClientEvent, ok bool) {
	typ, rest := take(payload)
	if typ == 20034 {
		text, frame, ok := takeText(rest)
		if !ok {
			return ev, false
		}
		if ev, ok = decodeText([]byte(text)); !ok {
			return ev, false
		}
		typ, rest = take(frame)
	}
	switch typ {
	case 1:
		if n, image := take(rest); n == 1 || n == 2 {
			ev.Type, ev.Data, ev.Image = "b_preview", json.RawMessage(`{}`), image
			return ev, true
		}
	case 3:
		if id, text, ok := takeText(rest); ok {
			ev.Type = "progress_text"
			ev.Data, _ = json.Marshal(map[string]string{"node_id": id, "text": string(text)})
			return ev, true
		}
	case 4:
		if about, image, ok := takeText(rest); ok && json.Valid([]byte(about)) {
			ev.Type, ev.Data, ev.Image = "b_preview_with_metadata", json.RawMessage(about), image
			return ev, true
		}
	default:
		ev.Type = fmt.Sprint(typ)
		return ev, typ > 4 && typ != 20034
	}
	return ev, false
}
