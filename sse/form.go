package sse

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"

	"github.com/nodebus/nodebus"
)

// appendBlock appends the wire form of a frame: a block of lines, and after the block of
// a preview its image, see appendImage.
func appendBlock(dst []byte, f nodebus.Frame) []byte {
	var image []byte
	if f.Binary {
		var err error
		if f.Data, image, err = asText(f); err != nil {
			return append(dst, ": a binary event that cannot be read is left out\n\n"...)
		}
	}
	if f.Epoch != "" {
		dst = append(dst, "id: "...)
		dst = append(dst, f.Epoch...)
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, f.ID, 10)
		dst = append(dst, '\n')
	}
	dst = append(dst, "data: "...)
	dst = appendLine(dst, f.Data)
	dst = append(dst, "\n\n"...)
	return append(dst, image...)
}

// appendLine appends JSON as one line. Inside strings, JSON may contain characters that
// some readers of streams take for line ends: U+0085, U+2028 and U+2029. appendLine
// escapes them. Valid JSON contains control characters only between tokens; appendLine
// replaces them with spaces.
func appendLine(dst, data []byte) []byte {
	start := 0
	for i := 0; i < len(data); i++ {
		if i += plain(data[i:]); i == len(data) {
			break
		}
		escaped, size := " ", 1
		switch rest := data[i:]; {
		case rest[0] < ' ':
		case hasPrefix(rest, "\u0085"):
			escaped, size = `\u0085`, 2
		case hasPrefix(rest, "\u2028"):
			escaped, size = `\u2028`, 3
		case hasPrefix(rest, "\u2029"):
			escaped, size = `\u2029`, 3
		default:
			continue
		}
		dst = append(dst, data[start:i]...)
		dst = append(dst, escaped...)
		start = i + size
	}
	return append(dst, data[start:]...)
}

// plain returns the number of bytes before the first control character or the first
// byte that may begin a character to escape. It looks at eight bytes at once: most
// frames contain only printable ASCII.
func plain(data []byte) int {
	const high, space = 0x8080808080808080, 0x2020202020202020
	i := 0
	for ; len(data)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		if (x|(x-space))&high != 0 {
			break
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c < ' ' || c == 0xc2 || c == 0xe2 {
			break
		}
	}
	return i
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// asText returns the text form of a binary frame, and for a preview its image.
func asText(f nodebus.Frame) (text, image []byte, err error) {
	ev, err := nodebus.JSON.Decode(f)
	if err != nil {
		return nil, nil, err
	}
	body := nodebus.Custom{Type: f.Type}
	switch p := ev.Payload.(type) {
	case nodebus.Preview:
		token := previewToken(&p)
		image = appendImage(nil, token, &p)
		body.Data = describe(&p, "?preview="+token)
	case nodebus.ProgressText:
		body.Data = map[string]string{"node_id": p.UniqueID, "text": p.Text}
	case nodebus.Custom:
		body.Data = map[string]any{"base64": p.Data}
	default:
		return nil, nil, fmt.Errorf("sse: a binary frame became %T", p)
	}
	ev.Payload = body
	said, err := nodebus.JSONCodec{Envelope: true}.Encode(ev)
	return said.Data, image, err
}

// described is the data of a preview.
type described struct {
	UniqueID  string  `json:"node_id"`
	PromptID  string  `json:"prompt_id"`
	DisplayID string  `json:"display_node_id"`
	ParentID  *string `json:"parent_node_id"` // null if empty, as in the binary frame
	RealID    string  `json:"real_node_id"`
	ImageType string  `json:"image_type"`
	URL       string  `json:"url"`
}

func describe(p *nodebus.Preview, url string) *described {
	d := &described{p.UniqueID, p.PromptID, p.DisplayID, nil, p.RealID, p.ImageType, url}
	if p.ParentID != "" {
		d.ParentID = &p.ParentID
	}
	return d
}

// tokenKey makes tokens that nobody can compute from an image. It differs in each
// process.
var tokenKey = sync.OnceValue(func() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
})

// previewToken returns the token under which an image is served: 32 hexadecimal digits.
// Equal images have equal tokens, because the wire form of a frame may depend only on
// the frame: sessions of different Handlers share it.
func previewToken(p *nodebus.Preview) string {
	h := hmac.New(sha256.New, tokenKey())
	h.Write([]byte(p.ImageType))
	h.Write([]byte{0})
	h.Write(p.Image)
	return hex.EncodeToString(h.Sum(nil)[:tokenSize/2])
}

const (
	// tokenSize is the number of digits of a token.
	tokenSize = 32
	// imageMark precedes an image in the wire form. No line contains it.
	imageMark = 0
)

// appendImage appends an image for the Handler's store: the mark, the token, the length
// of the type, the type, the length of the image, the image. The image is part of the
// wire form until [conn] takes it out, because each Handler has its own store.
func appendImage(dst []byte, token string, p *nodebus.Preview) []byte {
	typ := p.ImageType
	if !shownTypes[typ] {
		typ = "application/octet-stream"
	}
	dst = append(dst, imageMark)
	dst = append(dst, token...)
	dst = append(dst, byte(len(typ)))
	dst = append(dst, typ...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(p.Image)))
	return append(dst, p.Image...)
}

// takeImage reads what appendImage has appended, from the start of wire, and returns the
// rest.
func takeImage(wire []byte) (token, typ string, image, rest []byte) {
	wire = wire[1:]
	token, wire = string(wire[:tokenSize]), wire[tokenSize:]
	n := int(wire[0])
	typ, wire = string(wire[1:1+n]), wire[1+n:]
	size := int(binary.BigEndian.Uint32(wire))
	wire = wire[4:]
	return token, typ, wire[:size], wire[size:]
}

// takeImages appends the lines in wire to dst, and stores the images in wire.
func (p *previews) takeImages(dst, wire []byte) []byte {
	for {
		i := bytes.IndexByte(wire, imageMark)
		if i < 0 {
			return append(dst, wire...)
		}
		dst = append(dst, wire[:i]...)
		token, typ, image, rest := takeImage(wire[i:])
		p.put(token, typ, image)
		wire = rest
	}
}

// shownTypes holds the types of images that browsers show and that contain no scripts.
var shownTypes = map[string]bool{
	"image/avif": true, "image/gif": true, "image/jpeg": true, "image/png": true, "image/webp": true,
}
