package picture

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
)

// Metadata holds the texts in a file by name. The texts that ComfyUI's tools know are JSON:
// "prompt" is the graph in the API format, and "workflow" is what the editor saves.
type Metadata map[string]string

// MetadataError means that metadata cannot be written to a file.
type MetadataError struct {
	Name string // of the text; empty if the metadata as a whole is refused
	Err  error
}

func (e *MetadataError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("picture: metadata: %v", e.Err)
	}
	return fmt.Sprintf("picture: metadata %.100q: %v", e.Name, e.Err)
}

func (e *MetadataError) Unwrap() error { return e.Err }

// ErrTooLong means that there is more metadata than a file may hold: 64 KiB in a JPEG file,
// and in both formats what [Read] accepts.
var ErrTooLong = errors.New("too long")

// MetadataOf returns what ComfyUI's node SaveImage writes: the submitted prompt as "prompt",
// and each member of extra_pnginfo by its name. The editor sends its workflow there. The
// texts are JSON in ASCII: other characters are escaped. If the prompt has no nodes, or
// extra_pnginfo is not an object, that part is left out.
//
// The error is a [*MetadataError] if a value cannot be encoded as JSON.
func MetadataOf(ctx *nodebus.Context) (Metadata, error) {
	m := Metadata{}
	if extra, ok := ctx.Hidden("EXTRA_PNGINFO").(map[string]any); ok {
		for name, v := range extra {
			if err := m.add(name, v); err != nil {
				return nil, err
			}
		}
	}
	nodes, _ := ctx.Hidden("PROMPT").(nodebus.Nodes)
	if len(nodes) == 0 {
		return m, nil
	}
	nodes = slices.Clone(nodes)
	for i := range nodes {
		if nodes[i].Inputs == nil { // the editor takes a graph only if each node has inputs
			nodes[i].Inputs = nodebus.Inputs{}
		}
	}
	if err := m.add("prompt", nodes); err != nil {
		return nil, err
	}
	return m, nil
}

// add adds a value as JSON in ASCII.
func (m Metadata) add(name string, v any) error {
	var text []byte
	err := nodebus.Protect(func() (err error) {
		text, err = json.Marshal(v)
		return err
	})
	if err != nil {
		return &MetadataError{name, err}
	}
	m[name] = ascii(text)
	return nil
}

// ascii escapes the characters of JSON that are not ASCII. They are only in its strings.
func ascii(text []byte) string {
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		c := text[0]
		if c < utf8.RuneSelf {
			b.WriteByte(c)
			text = text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r >= 0x10000 {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// order returns the names of the texts in the order in which they are written: as in
// ComfyUI's files, the prompt and the workflow come first.
func (m Metadata) order() []string {
	rank := func(name string) int { return max(0, slices.Index([]string{"workflow", "prompt"}, name)+1) }
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(a, b))
	})
}

const (
	metadataMax = 64 << 20     // bytes of all metadata of a file, for writing and reading
	textRoom    = 56           // the memory that a text takes besides its name and its characters, in bytes
	overhead    = textRoom + 8 // and more than what it takes in a PNG file
)

var (
	errUTF8 = errors.New("it is not valid UTF-8")
	errNUL  = errors.New("it contains a NUL character")
)

// check checks what both formats require.
func (m Metadata) check() error {
	size := 0
	for name, text := range m {
		size += len(name) + len(text) + overhead
		switch {
		case !utf8.ValidString(name) || !utf8.ValidString(text):
			return &MetadataError{name, errUTF8}
		case strings.IndexByte(name, 0) >= 0 || strings.IndexByte(text, 0) >= 0:
			return &MetadataError{name, errNUL}
		}
	}
	if size > metadataMax {
		return &MetadataError{"", fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, size, metadataMax)}
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
