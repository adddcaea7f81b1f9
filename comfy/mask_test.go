package comfy_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/nodebus/nodebus/picture"
	"github.com/stretchr/testify/require"
)

// hole returns a mask of w by h pixels. Its left half is transparent.
func hole(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for x := w / 2; x < w; x++ {
		for y := range h {
			img.SetNRGBA(x, y, color.NRGBA{1, 2, 3, 255})
		}
	}
	return img
}

func TestMask(t *testing.T) {
	twins(t, "/upload/mask", func(t *testing.T, path string) {
		around, opts := folders(t)
		h := newHost(t, opts)
		red := image.NewNRGBA(image.Rect(0, 0, 4, 2))
		for i := 0; i < len(red.Pix); i += 4 {
			copy(red.Pix[i:], []byte{255, 10, 0, 200})
		}
		put(t, opts.Output, "red.png", pngOf(t, red))
		put(t, opts.Output, "sub/red.png", pngOf(t, red))
		put(t, opts.Input, "red.png", pngOf(t, red))
		put(t, opts.Temp, "red.png", pngOf(t, red))
		mask := string(pngOf(t, hole(4, 2)))
		for ref, stored := range map[string]string{
			`{"filename":"red.png"}`:                                  "a.png",
			`{"filename":"red.png","type":"output","subfolder":""}`:   "b.png",
			`{"filename":"red.png","type":"input","x":1}`:             "c.png",
			`{"filename":"red.png","subfolder":"sub"}`:                "d.png",
			`{"filename":"red.png [temp]","type":"output"}`:           "e.png",
			`{"filename":"red.png","type":"temp","subfolder":"./"}`:   "f.png",
			`{"filename":"sub/red.png","type":null,"subfolder":null}`: "g.png",
		} {
			a := h.upload(path, stored, mask, "original_ref", ref, "subfolder", "clipspace", "type", "input")
			require.Equal(t, 200, a.status, "%s: %s", ref, a.body)
			require.JSONEq(t, `{"name":"`+stored+`","subfolder":"clipspace","type":"input"}`, a.body)
			f, err := os.Open(filepath.Join(opts.Input, "clipspace", stored))
			require.NoError(t, err)
			img, err := png.Decode(f)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			require.Equal(t, image.Rect(0, 0, 4, 2), img.Bounds())
			require.Equal(t, color.NRGBA{255, 10, 0, 0}, img.At(0, 0), "the colour of one, the alpha of the other")
			require.Equal(t, color.NRGBA{255, 10, 0, 255}, img.At(3, 1))
		}
		require.Len(t, tree(t, around), 4+7)

		a := h.upload(path, "a.png", mask, "original_ref", `{"filename":"red.png"}`, "subfolder", "clipspace")
		require.Equal(t, "a.png", at(t, a.json(t), "name"), "the same again")
		a = h.upload(path, "a.png", string(pngOf(t, glass(4, 2))), "original_ref", `{"filename":"red.png"}`, "subfolder", "clipspace")
		require.Equal(t, "a (1).png", at(t, a.json(t), "name"))
	})
}

// TestMaskOfNothing: if the picture cannot be masked, the server stores nothing.
func TestMaskOfNothing(t *testing.T) {
	around, opts := folders(t)
	h := newHost(t, opts)
	put(t, opts.Output, "red.png", pngOf(t, glass(4, 2)))
	put(t, opts.Output, "notes.txt", []byte("no picture"))
	before := tree(t, around)
	mask := string(pngOf(t, hole(4, 2)))
	a := h.upload("/upload/mask", "a.png", mask, "original_ref", `{"filename":"none.png"}`)
	require.Equal(t, 200, a.status)
	require.JSONEq(t, `{"name":"a.png","subfolder":"","type":"input"}`, a.body)
	for name, c := range map[string]struct {
		mask, ref string
		status    int
	}{
		"no reference":            {mask, ``, 400},
		"a reference not JSON":    {mask, `red.png`, 400},
		"a list":                  {mask, `["red.png"]`, 400},
		"a number for a name":     {mask, `{"filename":5}`, 400},
		"no name":                 {mask, `{}`, 400},
		"null":                    {mask, `null`, 400},
		"a name that leads out":   {mask, `{"filename":"../red.png"}`, 400},
		"a folder that leads out": {mask, `{"filename":"red.png","subfolder":"../output"}`, 400},
		"a type of no folder":     {mask, `{"filename":"red.png","type":"models"}`, 400},
		"a type of nothing":       {mask, `{"filename":"red.png","type":""}`, 400},
		"a mask of another size":  {string(pngOf(t, hole(2, 4))), `{"filename":"red.png"}`, 400},
		"a mask that is no image": {"a mask", `{"filename":"red.png"}`, 415},
		"an image that is none":   {mask, `{"filename":"notes.txt"}`, 415},
		"half a mask":             {mask[:len(mask)/2], `{"filename":"red.png"}`, 415},
	} {
		a := h.upload("/upload/mask", "a.png", c.mask, "original_ref", c.ref)
		require.Equal(t, c.status, a.status, "%s: %s", name, a.body)
		require.Contains(t, a.json(t), "error")
	}
	require.Equal(t, before, tree(t, around))
}

// TestMaskKeepsTheWorkflow: a picture with a mask still has the metadata that it had.
func TestMaskKeepsTheWorkflow(t *testing.T) {
	_, opts := folders(t)
	h := newHost(t, opts)
	img := image.NewNRGBA(image.Rect(0, 0, 4, 2))
	m := picture.Metadata{"workflow": `{"a":"ä"}`, "prompt": "{}"}
	var file bytes.Buffer
	require.NoError(t, picture.EncodePNG(&file, img, m, nil))
	put(t, opts.Output, "with.png", file.Bytes())
	file.Reset()
	require.NoError(t, picture.EncodeJPEG(&file, img, m, nil))
	put(t, opts.Output, "with.jpg", file.Bytes())
	file.Reset()
	require.NoError(t, picture.EncodeJPEG(&file, img, picture.Metadata{"имя": "1"}, nil))
	put(t, opts.Output, "odd.jpg", file.Bytes())
	put(t, opts.Output, "without.png", pngOf(t, img))
	for name, want := range map[string]picture.Metadata{"with.png": m, "with.jpg": m, "odd.jpg": {}, "without.png": {}} {
		a := h.upload("/upload/mask", name+".png", string(pngOf(t, hole(4, 2))), "original_ref", `{"filename":"`+name+`"}`)
		require.Equal(t, 200, a.status, a.body)
		stored, err := os.Open(filepath.Join(opts.Input, name+".png"))
		require.NoError(t, err)
		got, err := picture.Read(stored)
		require.NoError(t, errors.Join(err, stored.Close()))
		require.Equal(t, want, got, name)
	}
}
