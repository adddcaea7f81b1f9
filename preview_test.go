package nodebus_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// easel is a publisher that can hold events up.
type easel struct {
	mu     sync.Mutex
	events []nodebus.Event
	hold   chan struct{} // if not nil, each Publish of a preview takes from it
	fails  func()
}

func (e *easel) Publish(ev nodebus.Event) error {
	if _, ok := ev.Payload.(nodebus.Preview); ok {
		if e.hold != nil {
			<-e.hold
		}
		if e.fails != nil {
			e.fails()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, ev)
	return nil
}

// seen describes the events: the width of a preview, the value of progress.
func (e *easel) seen(t *testing.T) (seen []any) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.events {
		switch p := ev.Payload.(type) {
		case nodebus.Preview:
			size, _, err := image.DecodeConfig(bytes.NewReader(p.Image))
			require.NoError(t, err)
			seen = append(seen, size.Width)
		case nodebus.Progress:
			seen = append(seen, p.Value)
		default:
			seen = append(seen, ev.Payload)
		}
	}
	return seen
}

// call returns the context of a node.
func (e *easel) call(t *testing.T, id string) *nodebus.Context {
	return nodebus.NewContext(t.Context(), nodebus.CallInfo{
		Place: nodebus.Place{UniqueID: id}, Publisher: e,
		Job: &nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", ClientID: "me"}, Attempt: 1},
	})
}

// wide returns an image that its width identifies.
func wide(n int) image.Image { return image.NewRGBA(image.Rect(0, 0, n, 8)) }

// TestPreviewIsACopy: the node changes its image right after Preview has returned.
func TestPreviewIsACopy(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e := &easel{}
		ctx := e.call(t, "1")
		img := image.NewRGBA(image.Rect(0, 0, 1000, 600))
		draw.Draw(img, img.Rect, image.NewUniform(color.RGBA{200, 100, 50, 255}), image.Point{}, draw.Src)
		require.NoError(t, ctx.Preview(img))
		clear(img.Pix)
		synctest.Wait()
		require.Len(t, e.events, 1)
		ev := e.events[0]
		p := ev.Payload.(nodebus.Preview)
		require.Equal(t, []any{"p", "me", 1, true}, []any{ev.PromptID, ev.To, ev.Attempt, ev.Frozen})
		require.Equal(t, []any{ctx.Place(), "p", "image/jpeg", 0}, []any{p.Place, p.PromptID, p.ImageType, p.Final})
		got, err := jpeg.Decode(bytes.NewReader(p.Image))
		require.NoError(t, err)
		require.Equal(t, image.Pt(512, 307), got.Bounds().Size())
		c := color.RGBAModel.Convert(got.At(300, 100)).(color.RGBA)
		require.InDeltaSlice(t, []int{200, 100, 50}, []int{int(c.R), int(c.G), int(c.B)}, 4)
	})
}

// TestNewestPreviewWins: while a preview is being published, each node keeps only its
// newest image.
func TestNewestPreviewWins(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e := &easel{hold: make(chan struct{})}
		a := e.call(t, "a")
		b := &nodebus.Context{}
		b.Begin(a, nodebus.Place{UniqueID: "b"}, 0, nil)
		require.NoError(t, a.Preview(wide(1)))
		synctest.Wait()
		for n := range 10 {
			require.NoError(t, a.Preview(wide(10+n)))
			require.NoError(t, b.Preview(wide(20+n)))
		}
		close(e.hold)
		synctest.Wait()
		require.Equal(t, []any{1, 19, 29}, e.seen(t))
		require.NoError(t, b.Preview(wide(3)), "and the goroutine begins again")
		synctest.Wait()
		require.Equal(t, []any{1, 19, 29, 3}, e.seen(t))
	})
}

// TestPreviewAtTheEnd: End drops what waits. It waits for a preview that is being
// published, so that no preview follows it.
func TestPreviewAtTheEnd(t *testing.T) {
	for name, within := range map[string]func(*nodebus.Context) *nodebus.Context{
		"of the call":     func(c *nodebus.Context) *nodebus.Context { return c },
		"of a part of it": func(c *nodebus.Context) *nodebus.Context { return c.With(c) },
		"of a later part": func(c *nodebus.Context) *nodebus.Context { return c.With(c).With(c) },
		"of another index": func(c *nodebus.Context) *nodebus.Context {
			d := &nodebus.Context{}
			d.BeginWithin(c, c, 4, nil)
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				e := &easel{hold: make(chan struct{})}
				call := e.call(t, "a")
				ctx := within(call)
				require.NoError(t, ctx.Preview(wide(1)))
				synctest.Wait()
				require.NoError(t, ctx.Preview(wide(2)))
				ended := make(chan struct{})
				go func() { call.End(); close(ended) }()
				synctest.Wait()
				select {
				case <-ended:
					t.Fatal("End has not waited")
				default:
				}
				require.ErrorIs(t, ctx.Preview(wide(3)), nodebus.ErrClosed)
				e.hold <- struct{}{}
				synctest.Wait()
				<-ended
				require.Equal(t, []any{1}, e.seen(t))
			})
		})
	}
}

// TestPreviewOfAnotherCall: the end of a call does not wait for the previews of others.
func TestPreviewOfAnotherCall(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e := &easel{hold: make(chan struct{})}
		a := e.call(t, "a")
		b := &nodebus.Context{}
		b.Begin(a, nodebus.Place{UniqueID: "b"}, 0, nil)
		require.NoError(t, a.Preview(wide(1)))
		synctest.Wait()
		require.NoError(t, b.Preview(wide(2)))
		b.End()
		(&nodebus.Context{}).End() // of a call that has not begun
		close(e.hold)
		synctest.Wait()
		require.Equal(t, []any{1}, e.seen(t))
	})
}

// TestProgressAfterPreview: front ends draw a preview when progress comes, so the newest
// report comes again. It never goes back.
func TestProgressAfterPreview(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e := &easel{hold: make(chan struct{})}
		ctx := e.call(t, "a")
		ctx.Progress(1, 9)
		require.NoError(t, ctx.Preview(wide(10)))
		synctest.Wait() // it is being published
		ctx.Progress(2, 9)
		require.NoError(t, ctx.Preview(wide(11)))
		ctx.Progress(3, 9)
		ctx.Progress(4, 9)
		require.Equal(t, []any{1.0}, e.seen(t), "the goroutine reports")
		e.hold <- struct{}{}
		synctest.Wait()
		require.Equal(t, []any{1.0, 10, 4.0}, e.seen(t))
		ctx.Progress(5, 9)
		e.hold <- struct{}{}
		synctest.Wait()
		require.Equal(t, []any{1.0, 10, 4.0, 11, 5.0}, e.seen(t))
		ctx.Progress(6, 9)
		require.NoError(t, ctx.Preview(wide(12)))
		e.hold <- struct{}{}
		synctest.Wait()
		require.Equal(t, []any{1.0, 10, 4.0, 11, 5.0, 6.0, 12}, e.seen(t), "nothing to repeat")
	})
}

// TestFileAfterPreview: an image that was handed over earlier does not follow a newer one.
func TestFileAfterPreview(t *testing.T) {
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, wide(7)))
	for name, send := range map[string]func(*nodebus.Context) error{
		"PreviewFile": func(c *nodebus.Context) error { return c.PreviewFile(file.Bytes()) },
		"PictureFile": func(c *nodebus.Context) error { return c.PictureFile(file.Bytes()) },
		"Picture":     func(c *nodebus.Context) error { return c.Picture(wide(7)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				e := &easel{hold: make(chan struct{})}
				ctx := e.call(t, "a")
				require.NoError(t, ctx.Preview(wide(1)))
				synctest.Wait()
				require.NoError(t, ctx.Preview(wide(2)))
				sent := make(chan error)
				go func() { sent <- send(ctx) }()
				synctest.Wait()
				e.hold <- struct{}{}
				e.hold <- struct{}{}
				require.NoError(t, <-sent)
				synctest.Wait()
				require.Equal(t, []any{1, 7}, e.seen(t))
			})
		})
	}
}

// bad is an image whose methods fail.
type bad struct{ at func() }

func (bad) Bounds() image.Rectangle { return image.Rect(0, 0, 4, 4) }
func (bad) ColorModel() color.Model { return color.GrayModel }
func (b bad) At(_, _ int) color.Color {
	b.at()
	return color.Black
}

func TestPreviewErrors(t *testing.T) {
	e := &easel{}
	ctx := e.call(t, "a")
	var refused *nodebus.EncodeError
	for _, img := range []image.Image{nil, image.NewGray(image.Rectangle{}), (*image.RGBA)(nil), bad{func() { panic("dry") }}} {
		require.ErrorAs(t, ctx.Preview(img), &refused, "%T", img)
		require.ErrorAs(t, ctx.Picture(img), &refused, "%T", img)
	}
	require.ErrorContains(t, ctx.Preview(bad{func() { panic("dry") }}), "dry")
	require.ErrorAs(t, ctx.PreviewFile(nil), &refused)
	require.ErrorAs(t, ctx.Picture(image.Black), &refused, "its sides have 2e9 pixels")
	require.ErrorContains(t, refused, "too large")
	require.ErrorAs(t, ctx.PictureFile(nil), &refused)
	silent := nodebus.NewContext(t.Context(), nodebus.CallInfo{})
	for _, send := range []func(*nodebus.Context) error{
		func(c *nodebus.Context) error { return c.Preview(wide(1)) },
		func(c *nodebus.Context) error { return c.Picture(wide(1)) },
		func(c *nodebus.Context) error { return c.PreviewFile([]byte("x")) },
		func(c *nodebus.Context) error { return c.PictureFile([]byte("x")) },
	} {
		require.ErrorContains(t, send(silent), "does not publish")
		ended := e.call(t, "a")
		ended.End()
		require.ErrorIs(t, send(ended), nodebus.ErrClosed)
	}
	require.Empty(t, e.events)
}

// TestPreviewMayCallBack: no lock is held while the image or the publisher is called.
func TestPreviewMayCallBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e := &easel{}
		ctx := e.call(t, "a")
		inner := sync.OnceFunc(func() { _ = ctx.Preview(wide(1)) })
		e.fails = sync.OnceFunc(func() { _ = ctx.Preview(wide(3)) })
		require.NoError(t, ctx.Preview(bad{inner}))
		synctest.Wait()
		require.Contains(t, e.seen(t), 4)
		require.Contains(t, e.seen(t), 3)
	})
}

// TestPreviewPublisherFails: a publisher that panics, or ends the goroutine, costs one
// preview.
func TestPreviewPublisherFails(t *testing.T) {
	for name, fail := range map[string]func(){
		"panics": func() { panic("no canvas") },
		"exits":  runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				e := &easel{hold: make(chan struct{}), fails: fail}
				a := e.call(t, "a")
				require.NoError(t, a.Preview(wide(1)))
				synctest.Wait()
				require.NoError(t, a.Preview(wide(2)))
				e.hold <- struct{}{}
				synctest.Wait() // the second one waits in Publish
				e.fails = nil
				close(e.hold)
				synctest.Wait()
				a.End()
				require.Equal(t, []any{2}, e.seen(t))
			})
		})
	}
}

// TestPreviewNow is for tests of nodes: each image is sent before Preview returns.
func TestPreviewNow(t *testing.T) {
	e := &easel{}
	ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{Publisher: e, PreviewNow: true})
	for n := range 3 {
		require.NoError(t, ctx.Preview(wide(1+n)))
		ctx.Progress(float64(n), 3)
	}
	require.Equal(t, []any{1, 0.0, 2, 1.0, 3, 2.0}, e.seen(t))
	broken := errors.New("broken")
	require.ErrorIs(t, nodebus.NewContext(t.Context(), nodebus.CallInfo{Publisher: refuses{broken}, PreviewNow: true}).Preview(wide(1)), broken)
}

type refuses struct{ err error }

func (r refuses) Publish(nodebus.Event) error { return r.err }

// TestPreviewsAtOnce has calls of a prompt draw, report and end at the same time.
func TestPreviewsAtOnce(t *testing.T) {
	e := &easel{}
	first := e.call(t, "0")
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			ctx := &nodebus.Context{}
			ctx.Begin(first, nodebus.Place{UniqueID: string(rune('a' + n/2))}, 0, nil)
			img := image.NewRGBA(image.Rect(0, 0, 600+n, 8))
			for step := range 20 {
				for i := range img.Pix {
					img.Pix[i] = byte(step)
				}
				_ = ctx.Preview(img)
				ctx.Progress(float64(step), 20)
				if step%8 == 7 {
					_ = ctx.Picture(wide(2))
				}
			}
			ctx.End()
			e.mu.Lock()
			defer e.mu.Unlock()
			e.events = append(e.events, nodebus.Event{To: ctx.UniqueID(), Payload: nodebus.ProgressText{Text: "end"}})
		})
	}
	all.Wait()
	ends := map[string]int{}
	for _, ev := range e.events {
		switch p := ev.Payload.(type) {
		case nodebus.ProgressText:
			ends[ev.To]++
		case nodebus.Preview:
			require.Less(t, ends[p.UniqueID], 2, "no preview follows the ends of both calls of node %s", p.UniqueID)
		}
	}
	require.Len(t, ends, 4)
}
