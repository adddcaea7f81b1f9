package value

import (
	"reflect"
	"strings"
)

type portTyped interface{ PortType() string }

func hasPortType(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[portTyped]())
}

// PortType returns the port type of a Go type; "" if it has none. A pointer has the port type
// of what it points to.
func PortType(t reflect.Type) string {
	if p, ok := reflect.New(t).Interface().(portTyped); ok {
		return callPortType(p)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
		if p, ok := reflect.New(t).Interface().(portTyped); ok {
			return callPortType(p)
		}
	}
	v := reflect.New(t).Elem()
	switch {
	case v.CanInt(), v.CanUint():
		return "INT"
	case v.CanFloat():
		return "FLOAT"
	case t.Kind() == reflect.String:
		return "STRING"
	case t.Kind() == reflect.Bool:
		return "BOOLEAN"
	case isEmpty(t):
		return "*"
	}
	name, _, _ := strings.Cut(t.Name(), "[") // type parameters do not name a port
	return strings.ToUpper(name)
}

// callPortType calls PortType on a zero value. If PortType panics, for example on an
// embedded nil pointer, the name is "".
func callPortType(p portTyped) (name string) {
	defer func() { _ = recover() }()
	return p.PortType()
}
