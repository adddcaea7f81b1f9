package golden_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var tempName = regexp.MustCompile(`^ComfyUI_temp_[a-z]{5}_`)

// plain replaces everything in a transcript that may differ between two runs: times,
// the order of sets, tracebacks, error names, and names of temporary files.
func (ts *transcript) plain(tr *trace) *transcript {
	for _, messages := range ts.clients {
		for _, m := range messages {
			tr.plain(m.Data)
		}
	}
	for _, a := range ts.answers {
		tr.plain(a.Body)
	}
	return ts
}

// plain does this for v, a decoded JSON value, and changes v in place.
func (tr *trace) plain(v any) {
	switch v := v.(type) {
	case []any:
		if len(v) == 5 { // a prompt in a listing; listed makes them
			sortStrings(v[4])
		}
		for _, e := range v {
			tr.plain(e)
		}
	case map[string]any:
		id, _ := v["prompt_id"].(string)
		for name, e := range v {
			tr.plain(e)
			v[name] = tr.plainMember(id, name, e)
		}
	}
}

// plainMember returns the replacement for one member of an object. promptID is the
// prompt id in this object, or "".
func (tr *trace) plainMember(promptID, name string, v any) any {
	list, isList := v.([]any)
	switch {
	case (name == "timestamp" || name == "create_time") && v.(float64) > 0:
		return "(time)"
	case strings.HasPrefix(name, "ram_") || strings.Contains(name, "vram_"):
		return "(bytes)"
	case name == "traceback" && (len(list) > 0 || promptID == ""): // an empty traceback means something while a prompt runs
		return "(lines)"
	case name == "exception_type" && v != "ExecutionBlocked" && v != "graph.DependencyCycleError":
		return "(type)"
	case name == "filename":
		return tempName.ReplaceAllString(v.(string), "ComfyUI_temp_(letters)_")
	case name == "executed", name == "current_outputs":
		sortStrings(v)
	case name == "nodes" && isList && len(tr.outputs(promptID)) > 1: // inOrderOfOutputs says why
		sortStrings(v)
	}
	return v
}

// sortStrings sorts a list of strings.
func sortStrings(v any) {
	list, _ := v.([]any)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
}

// lines returns the transcript as text, one line per message and answer.
func (ts *transcript) lines() (all []string) {
	for _, client := range slices.Sorted(maps.Keys(ts.clients)) {
		for _, m := range ts.clients[client] {
			all = append(all, client+" "+m.String())
		}
	}
	for _, a := range ts.answers {
		all = append(all, a.String())
	}
	return all
}

// ofConnection reports whether a message is about the connection: the first status
// message or the close frame. All other messages are about prompts.
func (m message) ofConnection() bool { return m.Type == "close" || m.Data["sid"] != nil }

func (m message) String() string {
	text, _ := json.Marshal(m.Data) // cannot fail: Data came from JSON
	return m.Type + " " + string(text)
}

func (a answer) String() string {
	text, _ := json.MarshalIndent(a.Body, "", " ")
	return fmt.Sprintf("%s: %d %s\n%s\n%s", a.Request, a.Status, a.Type, text, strings.Join(a.Keys, "\n"))
}

// equal compares the expected transcript with the actual transcript, client by
// client and answer by answer.
func equal(t *testing.T, want, got *transcript) {
	for _, client := range slices.Sorted(maps.Keys(want.clients)) {
		t.Run(client, func(t *testing.T) {
			seen := got.clients[client]
			if client == watcher {
				seen = slices.DeleteFunc(slices.Clone(seen), func(m message) bool { return !m.isBroadcast() })
			}
			equalMessages(t, want.clients[client], seen)
		})
	}
	t.Run("answers", func(t *testing.T) {
		require.Len(t, got.answers, len(want.answers))
		for i := range want.answers {
			require.Equal(t, want.answers[i].String(), got.answers[i].String())
		}
	})
}

func equalMessages(t *testing.T, want, got []message) {
	text := func(messages []message) string {
		var b strings.Builder
		for _, m := range messages {
			b.WriteString(m.String() + "\n")
		}
		return b.String()
	}
	require.Equal(t, text(want), text(got))
	for i := range want {
		if want[i].image != nil {
			equalImages(t, want[i], got[i])
		}
	}
}

// equalImages compares two pictures of the same size. JPEG loses information, so the
// samples of a JPEG may differ a little.
func equalImages(t *testing.T, want, got message) {
	allowed := 0
	if want.Data["format"] == "jpeg" {
		allowed = 4
	}
	a, b := pixels(want.image), pixels(got.image)
	for i := range a {
		if off := int(a[i]) - int(b[i]); max(off, -off) > allowed {
			require.Failf(t, "the pictures differ", "by %d in byte %d", off, i)
		}
	}
}

// pixels returns the samples of img, four bytes for each pixel.
func pixels(img image.Image) []byte {
	out := image.NewNRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(out, out.Rect, img, img.Bounds().Min, draw.Src)
	return out.Pix
}
