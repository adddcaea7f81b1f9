package nodebus

import (
	"bytes"
	"errors"
	"image"
	"image/png"

	"github.com/nodebus/nodebus/internal/thumb"
)

// This file has the methods of Context that send images.

// previewSide is the maximum width and height of the previews that nodebus encodes, in
// pixels. ComfyUI scales previews to the same size.
const previewSide = 512

// Preview shows img as the unfinished work of the node. A node may call it for every step.
// Preview copies the image, so the node may change it afterwards. An image with a side of
// more than 512 pixels becomes smaller; its shape stays. Clients receive a JPEG file of
// medium quality without transparency.
//
// The image is encoded in another goroutine, which all nodes of a prompt share. The newest
// image wins: Preview replaces an image of the node that is not yet encoded. When the node
// has returned, an image that is not yet encoded is dropped, because the node must not wait
// for it. If the node reports progress while the image is encoded, the report comes once
// more after the preview, because some front ends draw a preview when progress comes.
//
// Copying is quick for the types of package image. For other types, Preview calls RGBA64At,
// or At, for each pixel of the preview. A panic of img becomes an error.
//
// Preview returns an [*EncodeError] if img is nil or empty or panics, [ErrClosed] after Run
// has returned, and an error if the executor does not publish. An error of the publishing is
// logged.
func (c *Context) Preview(img image.Image) error {
	if err := c.maySend(); err != nil {
		return err
	}
	p := c.call.previews
	var copied image.Image
	err := Protect(func() (err error) {
		copied, err = thumb.Copy(img, previewSide, p.memory())
		return err
	})
	if err != nil {
		return &EncodeError{Type: typeName(img), Err: err}
	}
	if !c.call.PreviewNow {
		p.add(c, copied)
		return nil
	}
	file, err := encodeJPEG(copied)
	if err != nil {
		return &EncodeError{Type: typeName(img), Err: err}
	}
	return c.sendImage(Preview{}, file)
}

// PreviewFile shows an image as the unfinished work of the node, like Preview. file holds
// the bytes of a JPEG or PNG file, of any size; PreviewFile copies them. It returns an
// [*EncodeError] if file is empty, and otherwise the same errors as SendSync. It replaces an
// image of Preview that is not yet sent.
func (c *Context) PreviewFile(file []byte) error {
	if len(file) == 0 {
		return errNoImage
	}
	c.replacePreview()
	return c.sendImage(Preview{}, bytes.Clone(file))
}

// Picture sends img as a finished picture: a PNG file with all pixels of img. Unlike a
// preview, a picture never replaces another one: a client that is behind, or that
// reconnects, receives each picture once, in order, and before the node's outputs. Stock
// clients of ComfyUI receive each picture as ComfyUI's node SaveImageWebsocket sends it.
// Picture encodes before it returns. It replaces a preview of the node that is not yet sent.
//
// The log keeps all pictures of a prompt until some time after its end, within
// [HubOptions].KeepBytes for all prompts together. Save large or many pictures as files
// instead, and show them with [Images].
//
// Picture returns an [*EncodeError] if img cannot be encoded, or if it has more than 2^28
// pixels (16384 × 16384) or a side of more than 2^20 pixels, and otherwise the same errors
// as SendSync.
func (c *Context) Picture(img image.Image) error {
	if err := c.maySend(); err != nil {
		return err
	}
	var b bytes.Buffer
	err := Protect(func() error {
		if img == nil {
			return errors.New("the image is nil")
		}
		if err := thumb.MayEncode(img.Bounds()); err != nil {
			return err
		}
		fast := png.Encoder{CompressionLevel: png.BestSpeed}
		return fast.Encode(&b, img)
	})
	if err != nil {
		return &EncodeError{Type: typeName(img), Err: err}
	}
	return c.picture(b.Bytes())
}

// PictureFile sends a finished picture, like Picture. file holds the bytes of a PNG or JPEG
// file; PictureFile copies them. It returns an [*EncodeError] if file is empty, and otherwise
// the same errors as SendSync.
func (c *Context) PictureFile(file []byte) error {
	if len(file) == 0 {
		return errNoImage
	}
	return c.picture(bytes.Clone(file))
}

func (c *Context) picture(file []byte) error {
	if err := c.maySend(); err != nil {
		return err
	}
	c.draws()
	c.replacePreview()
	return c.sendImage(Preview{Final: c.call.previews.number(c.firstTry()), Index: c.Index()}, file)
}

var errNoImage = &EncodeError{Type: typeName(Preview{}), Err: errors.New("the image file is empty")}

// maySend returns the error that a call of SendSync would return at once.
func (c *Context) maySend() error {
	switch {
	case c.Ended():
		return ErrClosed
	case c.call.Publisher == nil:
		return errNoPublisher
	}
	return nil
}

// replacePreview drops a preview of the node that is not yet sent: an older image must not
// follow a newer one.
func (c *Context) replacePreview() {
	if c.state.Load()&contextDraws != 0 {
		c.call.previews.settle(c.isNodeOf)
	}
}

// sendImage publishes p with an image. Nobody changes file any more.
func (c *Context) sendImage(p Preview, file []byte) error {
	p.Place, p.PromptID, p.ImageType, p.Image = c.Place(), c.PromptID(), imageType(file), file
	return c.publish(Event{PromptID: c.PromptID(), To: c.ClientID(), Attempt: c.Attempt(), Payload: p, Frozen: true})
}

// imageType returns the type of an image file: PNG, or JPEG for everything else,
// because clients treat all other formats as JPEG.
func imageType(data []byte) string {
	if bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		return "image/png"
	}
	return "image/jpeg"
}
