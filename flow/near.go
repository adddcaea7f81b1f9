package flow

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// inputTags and resultTags are the tags that Register reads.
var (
	inputTags  = []string{"in", "default", "min", "max", "step", "options", "type", "tip", "multiline", "widget", "hidden", "grow", "choice", "match"}
	resultTags = []string{"out", "tip", "match"}
)

// checkTags panics if a field has a tag that is almost one of ours: it would be ignored. Tags
// that are far from ours belong to other packages.
func checkTags(t reflect.Type, sf reflect.StructField, ours []string) {
	for _, name := range tagNames(string(sf.Tag)) {
		if mend := mendOf(name, sf.Tag.Get(name), ours); mend != "" {
			panic(mistake(t, sf.Name, "tag `%s` is none that nodebus reads; write %s, or another name if the tag is for another package", name, mend))
		}
		if near := nearest(name, ours); near != "" {
			panic(mistake(t, sf.Name, "tag `%s` is none that nodebus reads; write `%s`, or another name if the tag is for another package", name, near))
		}
	}
}

// foreign maps names of ComfyUI, in lower case without underscores, to what an input has instead.
// Names that well-known packages use for tags of their own are not here: name, required, label.
var foreign = map[string]string{
	"tooltip":              "`tip`",
	"choices":              "`options:\"a,b\"`",
	"optional":             "`in:\",optional\"`",
	"forceinput":           "`in:\",force\"`",
	"rawlink":              "`in:\",raw\"` on a field of type nodebus.Link",
	"lazy":                 "no tag but the type nodebus.Lazy[T]",
	"multiselect":          "no tag but the type []T with `options`",
	"dynamicprompts":       "`widget:\"dynamicPrompts\"`",
	"controlaftergenerate": "`widget:\"control_after_generate\"`",
	"imageupload":          "`widget:\"image_upload\"`",
	"round":                "`widget:\"round=0.01\"`",
	"socketless":           "`widget:\"socketless\"`",
}

// mendOf returns what to write instead of a tag that has the name of an option of ComfyUI; "" if
// it has none.
func mendOf(name, value string, ours []string) string {
	key := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	isInput := slices.Contains(ours, "in")
	switch {
	case !isInput && key != "tooltip":
		return ""
	case key == "required" && value == "false": // other packages write true
		return foreign["optional"]
	}
	return foreign[key]
}

// tagNames returns the names of a struct tag. It ends at what has not the form name:"value",
// which go vet finds.
func tagNames(tag string) (names []string) {
	for tag = strings.TrimLeft(tag, " "); tag != ""; tag = strings.TrimLeft(tag, " ") {
		name, rest, found := strings.Cut(tag, ":")
		value, err := strconv.QuotedPrefix(rest)
		if !found || err != nil {
			return names
		}
		names, tag = append(names, name), rest[len(value):]
	}
	return names
}

// nearest returns the name of known that text is meant to be; "" if text is one of known, or
// is far from all.
func nearest(text string, known []string) string {
	if slices.Contains(known, text) {
		return ""
	}
	for _, name := range known {
		if isNear(text, name) {
			return name
		}
	}
	return ""
}

// isNear reports whether text is name with a typing mistake. Short names have many
// neighbors that mean something else, so that fewer mistakes count there.
func isNear(text, name string) bool {
	switch {
	case strings.EqualFold(text, name):
		return true
	case len(name) <= 2:
		return false
	case len(name) == 3: // a letter twice, letters swapped, or a plural
		return text == name+"s" || len(text) == 4 && edits(text, name) == 1 && doubled(text) || len(text) == 3 && sameLetters(text, name)
	case len(name) <= 6:
		return edits(text, name) == 1
	}
	return edits(text, name) <= 2
}

func doubled(text string) bool {
	for i := 1; i < len(text); i++ {
		if text[i] == text[i-1] {
			return true
		}
	}
	return false
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return string(x) == string(y)
}

// edits returns how many letters must be added, removed, replaced, or swapped with the next
// to make b of a.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
