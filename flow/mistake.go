package flow

import (
	"fmt"
	"reflect"
	"strconv"
)

// mistake returns the text of a panic of Register. It names the place and the
// mistake; the format must also say how to correct it.
func mistake(t reflect.Type, f string, format string, args ...any) string {
	return fmt.Sprintf("nodebus: node %s: field %s: %s", t, f, fmt.Sprintf(format, args...))
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
