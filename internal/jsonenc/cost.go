package jsonenc

// Cost estimates the memory, in bytes, that encoding/json needs to keep the JSON text
// as a Go value: lists as []any, objects as map[string]any, numbers as json.Number. It
// allocates nearly nothing itself. The text does not need to be valid. Cost stops when
// the estimate exceeds limit; the result is then larger than limit.
//
// The text of a value says little about its memory: an empty list has two bytes in JSON
// and about 40 bytes in Go.
func Cost(text []byte, limit int) (cost int) {
	var levels []int // for each open object: the number of its members; for each open list: -1
	for i := 0; i < len(text) && cost <= limit; {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
			i++
			continue
		case ']', '}':
			if i++; len(levels) > 0 {
				levels = levels[:len(levels)-1]
			}
			continue
		case '"':
			end := stringEnd(text, i)
			cost += costHeader + end - i
			i = end
		case '[', '{':
			cost += costList
			if i++; c == '{' {
				cost += costObject - costList
			}
		default:
			end := scalarEnd(text, i)
			if c == '-' || c >= '0' && c <= '9' {
				cost += costHeader + end - i
			}
			i = end
		}
		if at := len(levels) - 1; at >= 0 {
			cost += costMember(levels[at])
			if levels[at] >= 0 {
				levels[at]++
			}
		}
		switch text[i-1] {
		case '[':
			levels = append(levels, -1)
		case '{':
			levels = append(levels, 0)
		}
	}
	return cost
}

// The memory of a value beside its text: the header of a string, of a slice, and of a
// map; the first members of a map come in a group of eight.
const (
	costHeader = 16
	costList   = 24
	costObject = 48
	costGroup  = 272
	costSlot   = 64
	costElem   = 32 // an interface in a slice that has room to grow
)

// costMember returns the memory of one more value in a list, or of one more name or value
// in an object that has n of them.
func costMember(n int) int {
	switch {
	case n < 0:
		return costElem
	case n == 0:
		return costGroup
	case n >= 16:
		return costSlot / 2
	}
	return 0
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// scalarEnd returns the index after the number or name that begins at i.
func scalarEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case ' ', '\t', '\n', '\r', ',', ':', ']', '}', '[', '{', '"':
			return i
		}
	}
	return i
}
