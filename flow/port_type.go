package flow

import (
	"reflect"
	"strings"

	"github.com/nodebus/nodebus"
)

// portType returns the port type of a Go type; "" if it has none. A pointer has the port type
// of what it points to.
func portType(t reflect.Type) string {
	if p, ok := reflect.New(t).Interface().(interface{ PortType() string }); ok {
		return callPortType(p)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
		if p, ok := reflect.New(t).Interface().(interface{ PortType() string }); ok {
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
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
		return "*"
	}
	name, _, _ := strings.Cut(t.Name(), "[") // type parameters do not name a port
	return strings.ToUpper(name)
}

// callPortType calls PortType on a zero value. If PortType panics, for example on an
// embedded nil pointer, the name is "".
func callPortType(p interface{ PortType() string }) (name string) {
	_ = nodebus.Protect(func() error { name = p.PortType(); return nil })
	return name
}
