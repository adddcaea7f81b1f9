package comfy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Gallery sends finished pictures, each after a preview of it. The width of an image
// identifies it: 100 and the number of a picture, and 20 and the number of a preview.
type Gallery struct {
	Count  int
	Height int
}

func (n Gallery) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for i := range n.Count {
		img := image.NewGray(image.Rect(0, 0, 100+i, n.Height))
		random := rand.NewChaCha8([32]byte{})
		_, _ = random.Read(img.Pix) // so that the file is large
		var preview bytes.Buffer
		if err := png.Encode(&preview, image.NewGray(image.Rect(0, 0, 20+i, 5))); err != nil {
			return nil, err
		}
		if err := ctx.PreviewFile(preview.Bytes()); err != nil {
			return nil, err
		}
		if err := ctx.Picture(img); err != nil {
			return nil, err
		}
		ctx.Progress(float64(i+1), float64(n.Count))
	}
	return nodebus.Text("done"), nil
}

func galleryOf(count, height int) string {
	return fmt.Sprintf(`{"7":{"class_type":"Gallery","inputs":{"count":%d,"height":%d}}}`, count, height)
}

// shownIn describes a message as short does; for an image it adds the width.
func shownIn(t *testing.T, m message) string {
	if m.binary == nil {
		return m.short()
	}
	at := uint32(8)
	if m.binary[3] == 4 {
		at += binary.BigEndian.Uint32(m.binary[4:])
	}
	size, err := png.DecodeConfig(bytes.NewReader(m.binary[at:]))
	require.NoError(t, err)
	return fmt.Sprintf("%s %d", m.short(), size.Width)
}

// collect reads up to the message last, and returns the steps and the pictures, and the
// widths of the previews.
func collect(t *testing.T, s *socket, last string) (steps, previews []string) {
	for {
		m := s.next()
		switch seen := shownIn(t, m); {
		case strings.HasPrefix(seen, "binary") && len(strings.Fields(seen)[2]) == 2:
			previews = append(previews, strings.Fields(seen)[2])
		case !slices.Contains([]string{"progress", "progress_state"}, m.Type):
			steps = append(steps, seen)
		}
		if m.short() == last {
			return steps, previews
		}
	}
}

// pictures returns the descriptions of pictures as frames of a type.
func pictures(frame, from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("binary %d %d", frame, 100+i))
	}
	return all
}

func galleryHost(t *testing.T, opts *nodebus.HubOptions) *host {
	h := newHostOn(t, nodebus.NewHub(opts), nil, nil, func(*flow.Engine) {})
	flow.Register(h.reg, Gallery{}, nodebus.Info{})
	return h
}

// TestPicturesOfASlowClient: a stock client that reads nothing while the prompt runs gets
// each picture as a preview of the old form, in order, between executing and executed, as
// the script for ComfyUI's node SaveImageWebsocket expects.
func TestPicturesOfASlowClient(t *testing.T) {
	for name, opts := range map[string]*nodebus.HubOptions{
		"from the queue":               nil,
		"from the log":                 {QueueLen: 4},
		"from the log, for their size": {QueueBytes: 1 << 19},
	} {
		t.Run(name, func(t *testing.T) {
			const count = 8
			h := galleryHost(t, opts)
			s := h.connect("me")
			require.Equal(t, "status 0", s.next().short())
			h.ended(h.submit("me", galleryOf(count, 3000)))
			steps, previews := collect(t, s, "executing <nil>")
			steps = without(steps, "status")
			want := slices.Concat([]string{"execution_start", "execution_cached", "executing 7"}, pictures(1, 0, count), []string{"executed 7"})
			require.Equal(t, want, steps[:len(want)])
			require.LessOrEqual(t, len(previews), count)
		})
	}
}

// TestPicturesByFlag: a client that knows previews with metadata gets pictures in that
// form, as from ComfyUI. The metadata has their numbers.
func TestPicturesByFlag(t *testing.T) {
	h := galleryHost(t, nil)
	s := h.connect("me")
	s.next()
	s.say(`{"type":"feature_flags","data":{"supports_preview_metadata":true}}`)
	require.Equal(t, "feature_flags", s.next().Type)
	h.submit("me", galleryOf(3, 10))
	var numbers []int
	for m := s.next(); m.short() != "executing <nil>"; m = s.next() {
		if m.binary == nil {
			continue
		}
		ev, err := nodebus.JSON.Decode(nodebus.Frame{Binary: true, Data: m.binary})
		require.NoError(t, err)
		p := ev.Payload.(nodebus.Preview)
		require.Equal(t, "7", p.UniqueID)
		if p.Final > 0 {
			numbers = append(numbers, p.Final)
		}
	}
	require.Equal(t, []int{1, 2, 3}, numbers)
}

// TestPicturesOfAClientThatWasAway: a client with a cursor gets the pictures that it has
// missed, each once and in order.
func TestPicturesOfAClientThatWasAway(t *testing.T) {
	const count = 8
	h := galleryHost(t, nil)
	s := h.dial("clientId=me&since=", nil)
	cursor := s.next().Cursor
	s.close()
	h.ended(h.submit("me", galleryOf(count, 10)))
	for from := 0; from < count; from++ {
		s := h.dial("clientId=me&since="+cursor, nil)
		if from == 0 { // the rest is from the middle
			steps, _ := collect(t, s, "executed 7")
			require.Equal(t, slices.Concat([]string{"execution_start", "execution_cached", "executing 7"}, pictures(4, 0, count), []string{"executed 7"}), without(steps, "status"))
			s.close()
			s = h.dial("clientId=me&since="+cursor, nil)
		}
		for cursor = ""; cursor == ""; {
			if m := s.next(); shownIn(t, m) == fmt.Sprint("binary 4 ", 100+from) {
				cursor = m.Cursor
			}
		}
		s.close()
	}
	s = h.dial("clientId=me&since="+cursor, nil)
	steps, _ := collect(t, s, "executed 7")
	require.Equal(t, []string{"executed 7"}, without(steps, "status"))
}

// TestPicturesAtReload: a page without a cursor that is loaded again gets the pictures
// before the outputs of their node, and not once more when its previews come.
func TestPicturesAtReload(t *testing.T) {
	h := galleryHost(t, nil)
	s := h.connect("me")
	s.next()
	h.submit("me", `{"7":{"class_type":"Gallery","inputs":{"count":3,"height":5}},"8":{"class_type":"Wait","inputs":{"name":"a"}}}`)
	steps, _ := collect(t, s, "executed 7")
	require.Subset(t, steps, pictures(1, 0, 3))
	require.NoError(t, s.c.CloseNow())
	s = h.connect("me")
	steps, previews := collect(t, s, "executed 7")
	require.Equal(t, append(pictures(1, 0, 3), "executed 7"), without(steps, "status", "execution_", "executing"))
	require.Empty(t, previews, "they wait until the client has told which form it reads")
	h.gate.open("a")
	steps, _ = collect(t, s, "executing <nil>")
	require.Empty(t, slices.DeleteFunc(steps, func(m string) bool { return !strings.HasPrefix(m, "binary") }))
}
