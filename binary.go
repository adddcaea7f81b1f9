package nodebus

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// The types of binary frames. A binary frame begins with its type, a big-endian uint32.
const (
	framePreview     = 1 // image format, image
	frameText        = 3 // length of node id, node id, text
	framePreviewMeta = 4 // length of metadata, metadata (JSON), image
)

const (
	imageJPEG = 1
	imagePNG  = 2
)

// AppendBinary appends a frame of type 4: the image and metadata about its node. It
// returns no error.
func (p Preview) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint32(b, framePreviewMeta)
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = p.appendMembers(append(b, '{'), p.PromptID)
	b = append(b, `,"image_type":`...)
	b = jsonenc.String(b, p.ImageType)
	if p.Final != 0 {
		b = strconv.AppendInt(append(b, `,"final":`...), int64(p.Final), 10)
	}
	if p.Index != 0 {
		b = strconv.AppendInt(append(b, `,"index":`...), int64(p.Index), 10)
	}
	b = append(b, '}')
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return append(b, p.Image...), nil
}

// frameSize returns about the size of the frame of type 4, in bytes.
func (p Preview) frameSize() int {
	return 80 + p.sizeMembers(p.PromptID) + len(p.Image)
}

// appendBare appends a frame of type 1: only the format and the image, for clients that
// do not support type 4.
func (p Preview) appendBare(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, framePreview)
	format := uint32(imageJPEG)
	if p.ImageType == "image/png" {
		format = imagePNG
	}
	b = binary.BigEndian.AppendUint32(b, format)
	return append(b, p.Image...)
}

// AppendBinary appends a frame of type 3. It does not contain the prompt id. It returns
// no error.
func (t ProgressText) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint32(b, frameText)
	b = appendSized(b, t.UniqueID)
	return append(b, t.Text...), nil
}

func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// takeUint32 reads a number from the start of b and returns the rest.
func takeUint32(b []byte) (uint32, []byte, error) {
	if len(b) < 4 {
		return 0, nil, fmt.Errorf("frame too short: %d bytes, need 4", len(b))
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}

// takeSized reads a length, and a part with that length, from the start of b and
// returns the rest.
func takeSized(b []byte) (part, rest []byte, err error) {
	n, b, err := takeUint32(b)
	if err != nil {
		return nil, nil, err
	}
	if uint64(n) > uint64(len(b)) {
		return nil, nil, fmt.Errorf("frame too short: the next part has %d bytes, but only %d are left", n, len(b))
	}
	return b[:n], b[n:], nil
}

func decodeBinary(frame []byte) (Payload, error) {
	typ, rest, err := takeUint32(frame)
	if err != nil {
		return nil, err
	}
	switch typ {
	case framePreview:
		return decodePreview(rest)
	case framePreviewMeta:
		meta, image, err := takeSized(rest)
		if err != nil {
			return nil, err
		}
		var p Preview
		if err := json.Unmarshal(meta, &p); err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		p.Image = image
		return p, nil
	case frameText:
		var t ProgressText
		var part []byte
		if part, rest, err = takeSized(rest); err != nil {
			return nil, err
		}
		t.UniqueID, t.Text = string(part), string(rest)
		return t, nil
	}
	return Custom{Type: fmt.Sprint(typ), Data: rest}, nil
}

func decodePreview(b []byte) (Payload, error) {
	format, image, err := takeUint32(b)
	if err != nil {
		return nil, err
	}
	p := Preview{ImageType: "image/jpeg", Image: image}
	if format == imagePNG {
		p.ImageType = "image/png"
	}
	return p, nil
}
