package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/nodebus/nodebus"
)

// stream is a link over Server-Sent Events.
type stream struct {
	events *eventReader
	life   context.Context // ends with the stream
	cancel context.CancelFunc
	alive  *alive
	res    *http.Response
	opts   *Options
}

// streamSilence is the minimum silence after which the client gives up a stream: more than
// what lies between two comments of the server.
const streamSilence = 30 * time.Second

// dialStream requests a stream. The stream outlives ctx.
func dialStream(ctx context.Context, address string, opts *Options) (link, error) {
	life, end := context.WithCancelCause(context.Background())
	cancel := func() { end(nil) }
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	res, err := opts.getStream(life, address)
	if err == nil && !stop() { // the response came too late
		_ = res.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s := &stream{life: life, cancel: cancel, res: res, opts: opts}
	// The server sends a comment every 25 s.
	limit := 3 * opts.PingInterval
	if limit > 0 {
		limit = max(limit, streamSilence)
	}
	s.alive = watchOver(limit, nil, func() {
		opts.forgetIdle()
		cancel()
	})
	s.events = newEventReader(s.alive.reader(res.Body), opts.ReadLimit)
	return s, nil
}

// get sends a GET request that has no limit but ctx.
func (o *Options) get(ctx context.Context, address, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	for name, values := range o.Header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", accept)
	res, err := o.unlimited().Do(req)
	if err != nil {
		return nil, unreached(address, err)
	}
	return res, nil
}

// getStream sends the request for a stream.
func (o *Options) getStream(ctx context.Context, address string) (*http.Response, error) {
	res, err := o.get(ctx, address, "text/event-stream")
	if err != nil {
		return nil, err
	}
	typ, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK && res.StatusCode < 500:
		err = &RefusedError{Status: res.StatusCode, Text: refusal(res.Body), Err: fmt.Errorf("status %s", res.Status)}
	case res.StatusCode != http.StatusOK:
		err = fmt.Errorf("client: the server answers the request for a stream with status %s", res.Status)
	case typ != "text/event-stream":
		err = fmt.Errorf("client: the server answers with %q instead of a stream of events; check the address", typ)
	}
	if err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

func (s *stream) read() (nodebus.Frame, error) {
	s.alive.begin()
	defer s.alive.end()
	for {
		data, err := s.events.next()
		if err != nil {
			return nodebus.Frame{}, s.alive.reason(err)
		}
		f, err := s.binary(data)
		if err == nil {
			return f, nil
		}
		s.opts.Logger.Warn("message skipped", "error", err)
	}
}

// binaryType matches the start of an event that may be the text form of a binary event.
var binaryType = regexp.MustCompile(`^\{"type":"(b_preview|progress_text|[0-9])`)

// binary returns the frame of an event. The text form of a binary event becomes the frame
// that a WebSocket has.
func (s *stream) binary(data []byte) (nodebus.Frame, error) {
	f := nodebus.Frame{Data: data}
	if !binaryType.Match(data) {
		return f, nil
	}
	ev, err := nodebus.JSON.Decode(f)
	if err != nil {
		return f, err
	}
	custom, _ := ev.Payload.(nodebus.Custom)
	raw, _ := custom.Data.(json.RawMessage)
	var d struct {
		nodebus.Preview
		URL    string  `json:"url"`
		Text   *string `json:"text"`
		Base64 *[]byte `json:"base64"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return f, nil // it is another event
	}
	switch {
	case d.URL != "":
		if d.Image, err = s.image(d.URL); err != nil {
			return f, err
		}
		ev.Payload = d.Preview
	case d.Text != nil:
		ev.Payload = nodebus.ProgressText{UniqueID: d.UniqueID, Text: *d.Text}
	case d.Base64 != nil:
		ev.Payload = nodebus.Custom{Type: custom.Type, Data: *d.Base64}
	default:
		return f, nil
	}
	return nodebus.JSONCodec{Envelope: true}.Encode(ev)
}

// imageTime limits the time for the image of a preview.
const imageTime = 10 * time.Second

// image fetches the image of a preview. Its URL is relative to the address of the stream.
func (s *stream) image(relative string) ([]byte, error) {
	ref, err := url.Parse(relative)
	if err == nil && (ref.IsAbs() || ref.Host != "") {
		err = fmt.Errorf("%.100q is an address of another server", relative)
	}
	if err != nil {
		return nil, fmt.Errorf("client: the image of a preview: %w", err)
	}
	ctx, cancel := context.WithTimeout(s.life, imageTime)
	defer cancel()
	res, err := s.opts.get(ctx, s.res.Request.URL.ResolveReference(ref).String(), "image/*")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("client: the server answers the request for the image of a preview with status %s", res.Status)
	}
	image, err := io.ReadAll(io.LimitReader(s.alive.reader(res.Body), s.opts.ReadLimit))
	if err != nil {
		return nil, fmt.Errorf("client: the image of a preview: %w", err)
	}
	return image, nil
}

func (s *stream) send(context.Context, []byte) error { return errors.ErrUnsupported }

func (s *stream) close(bool) error {
	s.alive.stop()
	s.cancel()
	return s.res.Body.Close()
}
