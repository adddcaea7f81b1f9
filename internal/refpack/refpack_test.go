package refpack_test

import (
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/refpack"
	"github.com/stretchr/testify/require"
)

// call runs one node of a class.
func call(ctx context.Context, t *testing.T, opts *refpack.Options, class string, in nodebus.Inputs) (flow.Result, error) {
	r := flow.NewRegistry()
	refpack.Register(r, opts)
	c, ok := r.Class(class)
	require.True(t, ok)
	call := nodebus.NewContext(ctx, nodebus.CallInfo{Place: nodebus.Place{UniqueID: "1"}})
	defer call.End()
	return c.Call(call, in)
}

func grey(t *testing.T, value float64) any {
	res, err := call(t.Context(), t, nil, "RefImage", nodebus.Inputs{"value": value, "width": 4, "height": 2})
	require.NoError(t, err)
	return res.Outputs[0]
}

func readPNG(t *testing.T, folder string, f any) image.Image {
	file, err := os.Open(filepath.Join(folder, f.(nodebus.File).Filename))
	require.NoError(t, err)
	defer file.Close()
	img, err := png.Decode(file)
	require.NoError(t, err)
	return img
}

func TestSaveImage(t *testing.T) {
	opts := &refpack.Options{Output: t.TempDir()}
	for i, c := range []struct {
		value float64
		want  uint8
	}{{0.5, 127}, {2, 255}, {-1, 0}} {
		in := nodebus.Inputs{"images": grey(t, c.value), "filename_prefix": "a"}
		res, err := call(t.Context(), t, opts, "SaveImage", in)
		require.NoError(t, err)
		name := []string{"a_00001_.png", "a_00002_.png", "a_00003_.png"}[i]
		require.Equal(t, nodebus.Images(nodebus.File{Filename: name, Type: "output"}), res.UI)
		img := readPNG(t, opts.Output, res.UI["images"][0])
		require.Equal(t, image.Pt(4, 2), img.Bounds().Size())
		require.Equal(t, color.RGBA{c.want, c.want, c.want, 255}, color.RGBAModel.Convert(img.At(3, 1)))
	}
	_, err := call(t.Context(), t, opts, "SaveImage", nodebus.Inputs{"images": grey(t, 1), "filename_prefix": "../a"})
	require.ErrorContains(t, err, "outside its folder")
	_, err = call(t.Context(), t, nil, "SaveImage", nodebus.Inputs{"images": grey(t, 1)})
	require.ErrorContains(t, err, "no path")
}

func TestPreviewImage(t *testing.T) {
	opts := &refpack.Options{Temp: t.TempDir()}
	res, err := call(t.Context(), t, opts, "PreviewImage", nodebus.Inputs{"images": grey(t, 0.5)})
	require.NoError(t, err)
	f := res.UI["images"][0].(nodebus.File)
	require.Regexp(t, `^ComfyUI_temp_[a-z]{5}_00001_\.png$`, f.Filename)
	require.Equal(t, "temp", f.Type)
	readPNG(t, opts.Temp, f)
}

func TestLazyMixImages(t *testing.T) {
	for _, c := range []struct{ weight, want float64 }{{0, 0.25}, {1, 0.75}, {0.5, 0.5}} {
		mask, err := call(t.Context(), t, nil, "StubMask", nodebus.Inputs{"value": c.weight, "width": 64, "height": 64})
		require.NoError(t, err)
		res, err := call(t.Context(), t, nil, "TestLazyMixImages", nodebus.Inputs{
			"image1": grey(t, 0.25), "image2": grey(t, 0.75), "mask": mask.Outputs[0],
		})
		require.NoError(t, err)
		require.Equal(t, grey(t, c.want), res.Outputs[0])
	}
}

func TestSleepEndsEarly(t *testing.T) {
	for _, class := range []string{"RefSleep", "RefAsyncSleep"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			begin := time.Now()
			res, err := call(ctx, t, nil, class, nodebus.Inputs{"value": 3, "seconds": 1.5})
			require.NoError(t, err)
			require.Equal(t, []any{3}, res.Outputs)
			require.Equal(t, 1500*time.Millisecond, time.Since(begin))
			time.AfterFunc(time.Second, func() { cancel(nodebus.ErrInterrupted) })
			_, err = call(ctx, t, nil, class, nodebus.Inputs{"value": 3, "seconds": 60.0})
			require.ErrorIs(t, err, nodebus.ErrInterrupted)
			require.Equal(t, 2500*time.Millisecond, time.Since(begin))
		})
	}
}

func TestSendNeedsAHub(t *testing.T) {
	_, err := call(t.Context(), t, nil, "RefSend", nodebus.Inputs{"value": 1, "target": "nobody"})
	require.ErrorContains(t, err, "no hub")
}
