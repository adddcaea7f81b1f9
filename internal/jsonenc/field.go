package jsonenc

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is a member of a JSON object and the field of a struct that holds its value.
type field struct {
	name   string
	member []byte // the name as JSON, and a colon
	typ    reflect.Type
	coder  *coder
	index  []int // see reflect.Value.FieldByIndex
	tagged bool  // the name is from a tag
	quoted bool
	zeroer bool // the type, or a pointer to it, has a method IsZero

	omitEmpty, omitZero bool
}

// of returns the field of v. ok is false if the field is in an embedded struct that is a
// nil pointer.
func (f *field) of(v reflect.Value) (_ reflect.Value, ok bool) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

type zeroer interface{ IsZero() bool }

var zeroerType = reflect.TypeFor[zeroer]()

// isZero reports whether a value of f is zero, by its own method IsZero if it has one.
func (f *field) isZero(v reflect.Value) bool {
	if !f.zeroer {
		return v.IsZero()
	}
	if k := v.Kind(); k == reflect.Pointer || k == reflect.Interface {
		if v.IsNil() || k == reflect.Interface && v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() {
			return true
		}
	}
	if !v.Type().Implements(zeroerType) {
		if !v.CanAddr() {
			p := reflect.New(v.Type())
			p.Elem().Set(v)
			v = p.Elem()
		}
		v = v.Addr()
	}
	return v.Interface().(zeroer).IsZero()
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct, reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return false
	}
	return v.IsZero()
}

// embedded is a struct whose fields are members of the object of an outer struct.
type embedded struct {
	typ   reflect.Type
	index []int
	twice bool // the type is embedded several times at this depth
}

// fieldsOf returns the members of the object of a struct, in order.
func fieldsOf(t reflect.Type) []field {
	byName := map[string][]field{} // the fields of the least depth
	depths := map[string]int{}
	visited := map[reflect.Type]bool{}
	for level, depth := []embedded{{typ: t}}, 0; len(level) > 0; depth++ {
		var next []embedded
		for _, e := range level {
			if visited[e.typ] {
				continue
			}
			visited[e.typ] = true
			for i := range e.typ.NumField() {
				f, inner, ok := fieldOf(e, i)
				switch {
				case !ok:
				case inner:
					next = embed(next, embedded{f.typ, f.index, e.twice})
				case len(byName[f.name]) == 0 || depths[f.name] == depth:
					depths[f.name] = depth
					byName[f.name] = append(byName[f.name], f)
					if e.twice {
						byName[f.name] = append(byName[f.name], f)
					}
				}
			}
		}
		level = next
	}
	var fields []field
	for _, same := range byName {
		if f, ok := dominant(same); ok {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return fields
}

// embed adds e to the structs of the next depth.
func embed(next []embedded, e embedded) []embedded {
	for i := range next {
		if next[i].typ == e.typ {
			next[i].twice = true
			return next
		}
	}
	return append(next, e)
}

// dominant returns the field that has the name among fields of the same depth: the only
// one, or the only one with a tag.
func dominant(fields []field) (f field, ok bool) {
	tagged := slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return !f.tagged })
	if len(tagged) > 0 {
		fields = tagged
	}
	return fields[0], len(fields) == 1
}

// fieldOf returns field i of e. inner is true if it is a struct whose fields count instead,
// and f then has its type and index only. ok is false if JSON leaves the field out.
func fieldOf(e embedded, i int) (f field, inner, ok bool) {
	sf := e.typ.Field(i)
	elem := sf.Type
	if elem.Kind() == reflect.Pointer && (sf.Anonymous || elem.Name() == "") {
		elem = elem.Elem()
	}
	if !sf.IsExported() && (!sf.Anonymous || elem.Kind() != reflect.Struct) {
		return f, false, false
	}
	tag := sf.Tag.Get("json")
	if tag == "-" {
		return f, false, false
	}
	name, options, _ := strings.Cut(tag, ",")
	if strings.ContainsFunc(name, oddInName) {
		name = ""
	}
	f.index = append(slices.Clone(e.index), i)
	if sf.Anonymous && name == "" && elem.Kind() == reflect.Struct {
		f.typ = elem
		return f, true, true
	}
	f.name, f.tagged, f.typ = name, name != "", sf.Type
	if name == "" {
		f.name = sf.Name
	}
	f.member = append(String(nil, f.name), ':')
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			f.omitEmpty = true
		case "omitzero":
			f.omitZero = true
			f.zeroer = sf.Type.Implements(zeroerType) || reflect.PointerTo(sf.Type).Implements(zeroerType)
		case "string":
			f.quoted = isBasic(elem.Kind())
		}
	}
	return f, false, true
}

func isBasic(k reflect.Kind) bool {
	return k >= reflect.Bool && k <= reflect.Float64 || k == reflect.String
}

// oddInName reports whether a name in a tag must not contain r.
func oddInName(r rune) bool {
	return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
