package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

const signaturePNG = "\x89PNG\r\n\x1a\n"

// chunks returns the chunks of the metadata.
func (m Metadata) chunks() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var b []byte
	for _, name := range m.order() {
		keyword, err := latin1(name)
		if err != nil {
			return nil, &MetadataError{name, err}
		}
		if text := m[name]; isASCII(text) {
			b = appendChunk(b, "tEXt", keyword, "\x00", text)
		} else {
			b = appendChunk(b, "iTXt", keyword, "\x00\x00\x00\x00\x00", text) // not compressed, no language, no translation
		}
	}
	return b, nil
}

func appendChunk(b []byte, typ string, parts ...string) []byte {
	at := len(b)
	b = append(append(b, 0, 0, 0, 0), typ...)
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-8))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at+4:]))
}

const keywordMax = 79

var errKeyword = errors.New("a name in a PNG file must have 1 to 79 printable characters of Latin-1, with single spaces inside only")

// latin1 returns a name in the encoding of PNG.
func latin1(name string) (string, error) {
	b := make([]byte, 0, len(name))
	for _, r := range name {
		if r < ' ' || r >= 0x7f && r <= 0xa0 || r > 0xff {
			return "", errKeyword
		}
		b = append(b, byte(r))
	}
	if s := string(b); s != "" && len(s) <= keywordMax && strings.TrimSpace(s) == s && !strings.Contains(s, "  ") {
		return s, nil
	}
	return "", errKeyword
}

func fromLatin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

var (
	errCut = errors.New("picture: the file ends too early")
	errPNG = errors.New("picture: the PNG file is damaged")
)

// readPNG reads the chunks after the signature.
func readPNG(r io.Reader) (Metadata, error) {
	c := chunkReader{m: Metadata{}, left: metadataMax}
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, cut(err)
		}
		size, typ := binary.BigEndian.Uint32(head[:]), string(head[4:])
		if size > math.MaxInt32 {
			return nil, fmt.Errorf("%w: a chunk of %d bytes", errPNG, size)
		}
		switch typ {
		case "IEND":
			return c.m, nil
		case "tEXt", "zTXt", "iTXt":
			if err := c.text(r, typ, int(size)); err != nil {
				return nil, err
			}
		default:
			if err := skip(r, int64(size)+4); err != nil {
				return nil, cut(err)
			}
		}
	}
}

// chunkReader reads the texts of a PNG file.
type chunkReader struct {
	m    Metadata
	left int // how many bytes of metadata may follow
}

func (c *chunkReader) text(r io.Reader, typ string, size int) error {
	if c.left -= size + textRoom; c.left < 0 {
		return tooLongToRead()
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(size)+4))
	if err != nil {
		return err
	}
	if len(b) < size+4 {
		return errCut
	}
	sum := crc32.Update(crc32.ChecksumIEEE([]byte(typ)), crc32.IEEETable, b[:size])
	if sum != binary.BigEndian.Uint32(b[size:]) {
		return fmt.Errorf("%w: the checksum of a chunk %s is wrong", errPNG, typ)
	}
	keyword, text, found := bytes.Cut(b[:size], []byte{0})
	if !found {
		return fmt.Errorf("%w: a chunk %s has no name", errPNG, typ)
	}
	name := fromLatin1(keyword)
	switch typ {
	case "tEXt":
		c.m[name] = asText(text)
		return nil
	case "zTXt":
		if len(text) < 1 || text[0] != 0 {
			return fmt.Errorf("%w: the compression of a chunk zTXt is unknown", errPNG)
		}
		text, err = c.inflate(text[1:])
		c.m[name] = asText(text)
		return err
	}
	c.m[name], err = c.international(text)
	return err
}

// international returns the text of a chunk iTXt.
func (c *chunkReader) international(b []byte) (string, error) {
	if len(b) < 2 {
		return "", fmt.Errorf("%w: a chunk iTXt is too short", errPNG)
	}
	compressed, method := b[0], b[1]
	_, b, found := bytes.Cut(b[2:], []byte{0}) // the language
	_, b, found2 := bytes.Cut(b, []byte{0})    // the translated name
	if !found || !found2 || compressed > 1 || method != 0 {
		return "", fmt.Errorf("%w: a chunk iTXt has a wrong form", errPNG)
	}
	if compressed == 1 {
		var err error
		if b, err = c.inflate(b); err != nil {
			return "", err
		}
	}
	return strings.ToValidUTF8(string(b), "\ufffd"), nil
}

// inflate unpacks a text within the limit.
func (c *chunkReader) inflate(b []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPNG, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, int64(c.left)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPNG, err)
	}
	if c.left -= len(text); c.left < 0 {
		return nil, tooLongToRead()
	}
	return text, nil
}

// asText returns the text of a chunk tEXt. By the standard it is Latin-1, but many tools,
// and the front end, mean UTF-8.
func asText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return fromLatin1(b)
}
