package flow

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// hiddenKinds lists the values that the executor gives to hidden inputs, and the Go types of
// the values.
var hiddenKinds = map[string]reflect.Type{
	"UNIQUE_ID":            reflect.TypeFor[string](),
	"PROMPT_ID":            reflect.TypeFor[string](),
	"PROMPT":               reflect.TypeFor[nodebus.Nodes](),
	"DYNPROMPT":            reflect.TypeFor[nodebus.Nodes](), // includes the nodes made at run time
	"EXTRA_PNGINFO":        reflect.TypeFor[any](),
	"AUTH_TOKEN_COMFY_ORG": reflect.TypeFor[string](),
	"API_KEY_COMFY_ORG":    reflect.TypeFor[string](),
	"COMFY_USAGE_SOURCE":   reflect.TypeFor[string](),
}

// setHidden makes the field a hidden input.
func (f *field) setHidden(t reflect.Type, sf reflect.StructField, kind string) {
	f.Kind, f.Type = PortHidden, kind
	gives, known := hiddenKinds[kind]
	switch {
	case known && !gives.AssignableTo(sf.Type):
		panic(mistake(t, sf.Name, "tag `hidden:%q` gives a %s, which %s cannot hold; change the type to %[2]s", kind, gives, sf.Type))
	case known:
		return
	case kind == "" || strings.ContainsAny(kind, " \t\n\",:"):
		panic(mistake(t, sf.Name, "tag `hidden:%q` is no name of a value; write a name like UNIQUE_ID", kind))
	}
	for _, name := range slices.Sorted(maps.Keys(hiddenKinds)) {
		if isNearKind(kind, name) {
			panic(mistake(t, sf.Name, "tag `hidden:%q` is almost %s; write that, or a name of your own that is less like it", kind, name))
		}
	}
	if value.IsGeneric(f.elem, "Lazy") || value.IsGeneric(f.elem, "List") {
		panic(mistake(t, sf.Name, "tag `hidden` is not possible for %s; write %s", f.elem, valueOf(f.elem)))
	}
}

// isNearKind reports whether kind is the name of a known value with a typing mistake, or
// without its last word.
func isNearKind(kind, name string) bool {
	last := strings.LastIndexByte(name, '_')
	return strings.EqualFold(kind, name) || last > 0 && strings.EqualFold(kind, name[:last]) || edits(kind, name) == 1
}

// valueOf returns the type of the value of a Lazy or a List.
func valueOf(t reflect.Type) reflect.Type {
	if value.IsGeneric(t, "Lazy") {
		return t.Field(0).Type.Elem()
	}
	return t.Elem()
}

// isSet reports whether the executor sets the input, whatever a prompt says. It is false for
// a hidden input of the class's own.
func (f *field) isSet() bool {
	if f.Kind != PortHidden {
		return false
	}
	_, known := hiddenKinds[f.Type]
	return known
}

// isOwn reports whether the field is a hidden input of the class's own.
func (f *field) isOwn() bool { return f.Kind == PortHidden && !f.isSet() }

// hiddenValue returns the value of a hidden input whose argument is arg; notGiven if there is
// none. What the host of the prompt gives comes before what the prompt has, so that a client
// cannot replace it.
func (f *field) hiddenValue(ctx *nodebus.Context, arg any) any {
	v := ctx.Hidden(f.Type)
	switch {
	case f.isOwn() && v == "":
		return arg
	case f.Type == "EXTRA_PNGINFO":
		return value.Numbers(v)
	}
	return v
}

// fillHidden sets the field of a hidden input.
func (f *field) fillHidden(dst reflect.Value, ctx *nodebus.Context, arg any) error {
	v := f.hiddenValue(ctx, arg)
	text, isText := v.(string)
	switch {
	case v == notGiven:
		return nil
	case !f.isOwn():
		return value.Assign(dst, v)
	case isText && ctx.Hidden(f.Type) == any(text): // a secret is a text
		if nodebus.Protect(func() error { return f.fillText(dst, text) }) != nil {
			return f.secretError()
		}
		return nil
	case isText:
		return f.fillText(dst, text)
	}
	return value.Assign(dst, v)
}

// fillText sets the field of a hidden input of the class's own to what a text means.
func (f *field) fillText(dst reflect.Value, text string) error {
	lit, err := value.Coerce(value.PortType(f.elem), text)
	if err == nil {
		lit, err = value.Literal(f.elem, lit)
	}
	if err != nil {
		return err
	}
	return value.Assign(dst, lit)
}

// secretError is the error of a secret that the field cannot hold. It goes to clients and
// records: it does not have the secret, and no cause, which may quote the secret.
func (f *field) secretError() error {
	return fmt.Errorf("the host's text for the hidden input %s does not fit: the field needs %s; mend Secrets, or the type of the field", f.Type, value.Words(f.elem))
}
