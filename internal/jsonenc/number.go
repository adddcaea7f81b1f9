package jsonenc

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// Python writes NaN and infinities into JSON as bare words, and reads them. [Plain] puts
// these texts in their place. Each is a JSON number, but no float64 can hold it.
const (
	nanText   = "9e99999"
	infText   = "1e99999"
	minusText = "-1e99999"
)

// Plain returns data with a number in the place of each bare NaN, Infinity and -Infinity.
// [Infinite] recognizes these numbers. A word that is a part of something else, such as 7NaN,
// stays, because it is no JSON in Python either. Without such a word, Plain does not copy
// data. It does not check whether data is JSON. It removes a byte order mark, with which some
// editors begin a file.
func Plain(data []byte) []byte { return replaceWords(data, &numbers) }

// Nulls returns data with null in the place of each bare NaN, Infinity and -Infinity, as
// JavaScript writes these values. Otherwise it is like [Plain].
func Nulls(data []byte) []byte { return replaceWords(data, &nulls) }

// replacement holds what comes in the place of a word.
type replacement struct{ nan, inf, minus string }

var (
	numbers = replacement{nanText, infText, minusText}
	nulls   = replacement{"null", "null", "null"}
)

func replaceWords(data []byte, by *replacement) []byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !bytes.Contains(data, []byte("NaN")) && !bytes.Contains(data, []byte("Infinity")) {
		return data
	}
	var out []byte
	start := 0
	for i := 0; i < len(data); {
		switch data[i] {
		case '"':
			i = afterString(data, i+1)
			continue
		case ' ', '\t', '\n', '\r', ',', ':', ']', '}', '[', '{':
			i++
			continue
		}
		end := scalarEnd(data, i)
		if text := by.of(data[i:end]); text != "" {
			out = append(append(out, data[start:i]...), text...)
			start = end
		}
		i = end
	}
	if out == nil {
		return data
	}
	return append(out, data[start:]...)
}

// afterString returns the index after the string whose text begins at i.
func afterString(data []byte, i int) int {
	for i < len(data) && data[i] != '"' {
		if data[i] == '\\' {
			i++
		}
		i++
	}
	return min(i+1, len(data))
}

// of returns the text for word, and "" if word stays.
func (r *replacement) of(word []byte) string {
	switch string(word) {
	case "NaN":
		return r.nan
	case "Infinity":
		return r.inf
	case "-Infinity":
		return r.minus
	}
	return ""
}

// Infinite returns NaN or an infinity if that is what n means: as a word, as a number that
// [Plain] has made, or as a number that no float64 can hold. Python and JavaScript read
// such a number as an infinity.
func Infinite(n json.Number) (f float64, is bool) {
	switch {
	case n == "" || len(n) < len("1e309") && n[len(n)-1] <= '9':
		return 0, false
	case n == nanText:
		return math.NaN(), true
	}
	f, _ = strconv.ParseFloat(string(n), 64)
	return f, !Finite(f)
}

// Infinities replaces the numbers in v for which [Infinite] says so with a float64. v is a
// decoded JSON value with numbers of type json.Number. Lists and objects of v are written
// to.
func Infinities(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, is := Infinite(v); is {
			return f
		}
	case []any:
		for i, e := range v {
			v[i] = Infinities(e)
		}
	case map[string]any:
		for name, e := range v {
			if changed := Infinities(e); isFloat(changed) {
				v[name] = changed
			}
		}
	}
	return v
}

func isFloat(v any) bool {
	_, is := v.(float64)
	return is
}

// NoInfinities returns text, which must be JSON, with null in the place of each number for
// which [Infinite] says so. Without such a number it returns text itself. The rest of text
// stays as it is, also its order.
func NoInfinities(text []byte) []byte {
	return replaceNumbers(text, len("1e309"), func(number []byte) string {
		if _, is := Infinite(json.Number(number)); is {
			return "null"
		}
		return ""
	})
}

// Words returns text, which must be JSON, with the bare words that [Plain] has replaced. It is
// for texts that people read. Without such a word it returns text itself.
func Words(text []byte) []byte {
	return replaceNumbers(text, len(nanText), func(number []byte) string {
		switch string(number) {
		case nanText:
			return "NaN"
		case infText:
			return "Infinity"
		case minusText:
			return "-Infinity"
		}
		return ""
	})
}

// replaceNumbers returns text with what by returns for a number of at least shortest bytes in
// the place of the number. If by returns "", the number stays.
func replaceNumbers(text []byte, shortest int, by func(number []byte) string) []byte {
	var out []byte
	start := 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i = afterString(text, i+1)
		case c == '-' || c >= '0' && c <= '9':
			end := scalarEnd(text, i)
			if end-i >= shortest {
				if word := by(text[i:end]); word != "" {
					out = append(append(out, text[start:i]...), word...)
					start = end
				}
			}
			i = end
		default:
			i++
		}
	}
	if out == nil {
		return text
	}
	return append(out, text[start:]...)
}
