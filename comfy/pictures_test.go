package comfy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// bomb returns a small PNG file whose header claims a very large picture.
func bomb(t testing.TB) string {
	t.Helper()
	b := pngOf(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	head := string(b[:16]) + "\x00\x00\xff\xff\x00\x00\xff\xff" + string(b[24:29])
	return string(binary.BigEndian.AppendUint32([]byte(head), crc32.ChecksumIEEE([]byte(head[12:])))) + string(b[33:])
}

func TestPicturesThatAreTooLarge(t *testing.T) {
	around, opts := folders(t)
	h := newHost(t, opts)
	put(t, opts.Output, "bomb.png", []byte(bomb(t)))
	put(t, opts.Output, "red.png", pngOf(t, glass(4, 2)))
	before := tree(t, around)
	for _, q := range []string{"channel=rgb", "channel=a"} {
		require.Equal(t, 413, h.send("GET", "/view?filename=bomb.png&"+q, "").status)
	}
	a := h.send("GET", "/view?filename=bomb.png&preview=webp;90", "")
	require.Equal(t, []any{200, bomb(t)}, []any{a.status, a.body}, "it is sent as it is")
	require.Equal(t, 413, h.upload("/upload/mask", "a.png", bomb(t), "original_ref", `{"filename":"red.png"}`).status)
	require.Equal(t, 413, h.upload("/upload/mask", "a.png", string(pngOf(t, hole(4, 2))), "original_ref", `{"filename":"bomb.png"}`).status)
	require.Equal(t, before, tree(t, around))
}

// noise returns a PNG of 1100 by 1000 random pixels. Compression does not make it
// smaller.
func noise(t testing.TB) []byte {
	t.Helper()
	greys := make(color.Palette, 256)
	for i := range greys {
		greys[i] = color.Gray{uint8(i)}
	}
	img := image.NewPaletted(image.Rect(0, 0, 1100, 1000), greys)
	x := uint32(1)
	for i := range img.Pix {
		x = x*1664525 + 1013904223
		img.Pix[i] = byte(x >> 24)
	}
	var b bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, img))
	return b.Bytes()
}

// TestViewLargePictures: an answer of more than 1 MiB arrives complete.
func TestViewLargePictures(t *testing.T) {
	out := t.TempDir()
	h := newHost(t, &comfy.Options{Output: out})
	put(t, out, "noise.png", noise(t))
	a := h.send("GET", "/view?filename=noise.png&channel=rgb", "")
	require.Equal(t, 200, a.status)
	require.Greater(t, len(a.body), 1<<20)
	config, err := png.DecodeConfig(strings.NewReader(a.body))
	require.NoError(t, err)
	require.Equal(t, []int{1100, 1000}, []int{config.Width, config.Height})
}

// TestPicturesAtATime: while the server sends two large pictures to slow clients,
// it reads no third picture. A client that waits for the third may disconnect.
func TestPicturesAtATime(t *testing.T) {
	out := t.TempDir()
	put(t, out, "noise.png", noise(t))
	put(t, out, "red.png", pngOf(t, glass(4, 2)))
	h := newHost(t, &comfy.Options{Output: out})
	ask := func(ctx context.Context, query string, w *heldWriter) (answered chan struct{}) {
		answered = make(chan struct{})
		go func() {
			defer close(answered)
			h.server.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", h.url+"/view?"+query, nil))
		}()
		return answered
	}
	var slow []*heldWriter
	var done []chan struct{}
	for range 2 {
		w := &heldWriter{httptest.NewRecorder(), make(chan struct{}), make(chan error, 1)}
		done = append(done, ask(t.Context(), "filename=noise.png&channel=rgb", w))
		<-w.began
		slow = append(slow, w)
	}
	ctx, leave := context.WithCancel(t.Context())
	waits := &heldWriter{httptest.NewRecorder(), make(chan struct{}), make(chan error, 1)}
	waits.let <- nil
	left := ask(ctx, "filename=red.png&channel=rgb", waits)
	leave()
	<-left
	require.Equal(t, 503, waits.Code)
	a := h.send("GET", "/view?filename=red.png", "")
	require.Equal(t, 200, a.status, "what is sent as it is does not wait")
	for i, w := range slow {
		w.let <- nil
		<-done[i]
		require.Equal(t, 200, w.Code)
	}
	require.Equal(t, 200, h.send("GET", "/view?filename=red.png&channel=rgb", "").status)
}
