package sse_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// TestTransport runs the suite on sockets, for both versions of HTTP.
func TestTransport(t *testing.T) {
	for name, start := range map[string]func(*testing.T, http.Handler) (*http.Client, string){
		"HTTP/1.1": http1,
		"HTTP/1.1 without Hijack": func(t *testing.T, h http.Handler) (*http.Client, string) {
			return http1(t, wrapped(withoutHijack)(h))
		},
		"HTTP/2": http2,
	} {
		t.Run(name, func(t *testing.T) {
			conform.Transport(t, func(t *testing.T) (nodebus.Transport, conform.Receiver) {
				made := make(chan sse.Transport, 1)
				h := sse.New(nodebus.NewHub(nil), &sse.Options{PingInterval: time.Millisecond}) // comments between all blocks
				c, url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					tr, err := sse.Connect(w, r, h)
					if err != nil {
						t.Error(err)
						return
					}
					made <- tr
					tr.Wait()
				}))
				r := open(t, c, url)
				return <-made, conform.Receiver{Receive: func() (nodebus.Frame, error) { return frameOf(r) }}
			})
		})
	}
}

// frameOf reads an event and returns the frame from which it was made.
func frameOf(r *reader) (nodebus.Frame, error) {
	data, err := r.block()
	if err != nil {
		return nodebus.Frame{}, err
	}
	var ev struct {
		Data struct{ Base64 []byte }
	}
	if json.Unmarshal([]byte(data), &ev) == nil && ev.Data.Base64 != nil { // type 9
		return nodebus.Frame{Binary: true, Data: append([]byte{0, 0, 0, 9}, ev.Data.Base64...)}, nil
	}
	return nodebus.Frame{Data: []byte(data)}, nil
}

// TestResumeAtEveryEvent breaks the connection after each event, binary events included,
// and comes back in three ways.
func TestResumeAtEveryEvent(t *testing.T) {
	s := serve(t, nil, nil)
	live := s.open(t, "?clientId=me")
	s.say(t, "p", 1)
	s.say(t, "q", 2)
	require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: nodebus.ProgressText{UniqueID: "7", Text: "three"}}))
	require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: nodebus.Custom{Type: "1000", Data: []byte{4}}}))
	s.say(t, "p", 5)
	var want []received
	for range 6 {
		want = append(want, live.must(t))
	}
	for i, ev := range want {
		for name, header := range map[string][]string{
			"?since=" + ev.id:  nil,
			"?since=":          {"Last-Event-ID", ev.id},
			"?since=other-999": {"Last-Event-ID", ev.id}, // the address of the first connection
		} {
			t.Run(fmt.Sprint(i, name), func(t *testing.T) {
				r := s.open(t, name+"&clientId=me", header...)
				require.Equal(t, "status", r.must(t).Type)
				for _, w := range want[i+1:] {
					require.Equal(t, w, r.must(t))
				}
				r.close()
			})
		}
	}
}

func TestGapAfterAnotherLife(t *testing.T) {
	s := serve(t, nil, nil)
	s.say(t, "p", 1)
	r := s.open(t, "?clientId=me", "Last-Event-ID", "other-77")
	require.Equal(t, []string{"status", "nodebus.gap", `{"N":1}`}, r.types(t, 3))
}

func TestSeveralPromptsOnOneStream(t *testing.T) {
	s := serve(t, nil, nil)
	s.say(t, "a", 1)
	r := s.open(t, "?clientId=you&watch=a&watch=b")
	require.Equal(t, []string{"status", `{"N":1}`}, r.types(t, 2))
	s.say(t, "b", 2)
	s.say(t, "c", 3)
	s.say(t, "a", 4)
	for _, want := range []received{{PromptID: "b", Data: json.RawMessage(`{"N":2}`)}, {PromptID: "a", Data: json.RawMessage(`{"N":4}`)}} {
		got := r.must(t)
		require.Equal(t, want, received{PromptID: got.PromptID, Data: got.Data})
		require.Equal(t, got.Cursor, got.id)
		require.NotZero(t, got.Time)
	}
}

// TestLineEnds sends all characters that a reader may take for the end of a line.
func TestLineEnds(t *testing.T) {
	s := serve(t, nil, nil)
	r := s.open(t, "?clientId=me")
	r.must(t)
	said := "a\r\nb\vc\fd\x1ce\x1df\x1eg\u0085h\u2028i\u2029jÂkÀl\u00e2\u0080m"
	require.NoError(t, s.hub.SendSync(nodebus.Custom{Type: "text", Data: said}, "me"))
	require.NoError(t, s.hub.SendSync(nodebus.Custom{Type: "text", Data: json.RawMessage("{\n\"a\":\r\n\"b\u0085\"\t}")}, "me"))
	data, err := r.block()
	require.NoError(t, err)
	require.False(t, strings.ContainsFunc(data, func(c rune) bool { return c < ' ' || slices.Contains([]rune{0x85, 0x2028, 0x2029}, c) }), "%q", data)
	var ev struct{ Data string }
	require.NoError(t, json.Unmarshal([]byte(data), &ev))
	require.Equal(t, said, ev.Data)
	require.JSONEq(t, `{"a":"b\u0085"}`, string(r.must(t).Data))
}

// FuzzBlock checks that each frame becomes one event with the same JSON.
func FuzzBlock(f *testing.F) {
	f.Add("epoch1", uint64(7), `{"type":"x","data":"`+"\u0085\u2028\u2029\xc2"+`"}`)
	f.Add("", uint64(0), "[1,\r\n2]\n")
	f.Add("e", uint64(1), "[2E22222222,1.0]")
	f.Fuzz(func(t *testing.T, epoch string, id uint64, data string) {
		cursor, err := nodebus.ParseCursor(nodebus.Cursor{Epoch: epoch, ID: id}.String())
		if err != nil || cursor.Epoch != epoch || !json.Valid([]byte(data)) || !utf8.ValidString(data) {
			return // no frame of a hub
		}
		block := sse.AppendBlock([]byte("data: before\n\n"), nodebus.Frame{ID: id, Epoch: epoch, Data: []byte(data)})
		require.False(t, slices.ContainsFunc([]string{"\r", "\u0085", "\u2028", "\u2029"}, func(s string) bool { return strings.Contains(string(block), s) }))
		r := newReader(strings.NewReader(string(block)))
		before, err := r.block()
		require.NoError(t, err)
		require.Equal(t, "before", before)
		got, err := r.block()
		require.NoError(t, err)
		require.Equal(t, exactly(t, data), exactly(t, got))
		if epoch != "" {
			require.Equal(t, cursor.String(), r.id)
		}
		r.end(t)
	})
}

// exactly returns a JSON value whose numbers keep their texts: no float64 can hold some of them.
func exactly(t *testing.T, text string) (value any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&value))
	return value
}

func TestBrokenBinaryFramesAreComments(t *testing.T) {
	for _, data := range []string{"", "\x00", "\x00\x00\x00\x04\xff", "\x00\x00\x00\x03\x00\x00\x00\x09"} {
		r := newReader(strings.NewReader(string(sse.AppendBlock(nil, nodebus.Frame{Binary: true, ID: 1, Epoch: "e", Data: []byte(data)}))))
		r.end(t)
		require.Len(t, r.comments, 1)
		require.Empty(t, r.id)
	}
}
