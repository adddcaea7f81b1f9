package flow

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// mistake returns the text of a panic of Register. It names the place and the
// mistake; the format must also say how to correct it.
func mistake(t reflect.Type, f string, format string, args ...any) string {
	return fmt.Sprintf("nodebus: node %s: field %s: %s", t, f, fmt.Sprintf(format, args...))
}

// inside calls read, which reads the fields of a struct that is the type of a field of t. If read
// panics with a mistake, the text names t and the field, too.
func inside(inner, t reflect.Type, f string, read func()) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if text, is := r.(string); is {
			if rest, is := strings.CutPrefix(text, fmt.Sprintf("nodebus: node %s: field ", inner)); is {
				if path, _, _ := strings.Cut(rest, ": "); strings.Count(path, ".") < 4 { // not if a struct contains itself
					rest = f + "." + rest
				}
				r = fmt.Sprintf("nodebus: node %s: field %s", t, rest)
			}
		}
		panic(r)
	}()
	read()
}

// SchemaError is an error of [NewClass] or [Registry.Add]: a schema that no class can have,
// or a name that is taken.
type SchemaError struct {
	Class string
	Port  string // the name of the input or output; empty if the error is about the whole class
	Wrong string // what is wrong, as the end of a sentence
	Mend  string // what to do
}

// Error names the class, the port, what is wrong, and the correction.
func (e *SchemaError) Error() string {
	at := "class " + strconv.Quote(e.Class)
	if e.Port != "" {
		at += ": port " + strconv.Quote(e.Port)
	}
	return "nodebus: " + at + ": " + e.Wrong + "; " + e.Mend
}
