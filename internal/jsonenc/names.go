package jsonenc

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Names appends the names of the members of a JSON object, in order, each as the text
// between its quotes. It does not look into the values. object must be JSON; spaces and a
// colon before it do not matter. [Name] decodes such a text.
func Names(names [][]byte, object []byte) [][]byte {
	depth := 0
	first := false // a string is a name, and not a value
	for i := 0; i < len(object); {
		switch object[i] {
		case '"':
			end := afterString(object, i+1)
			if first {
				names = append(names, object[i+1:end-1])
				first = false
			}
			i = end
			continue
		case '{', '[':
			depth++
			first = depth == 1
		case '}', ']':
			depth--
		case ',':
			first = depth == 1
		}
		i++
	}
	return names
}

// IsPlain reports whether the text between the quotes of a string is the string itself.
func IsPlain(text []byte) bool { return bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) }

// Name returns the string that has text between its quotes.
func Name(text []byte) (name string) {
	if IsPlain(text) {
		return string(text)
	}
	_ = json.Unmarshal(append(append([]byte{'"'}, text...), '"'), &name) // text is JSON
	return name
}
