package flow

import "strconv"

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
