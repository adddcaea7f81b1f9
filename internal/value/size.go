package value

import "reflect"

// Size estimates the bytes that v keeps in memory, looking a few levels deep. size asks
// a value with a method Size() int; it must not panic.
func Size(v any, size func(v interface{ Size() int }) int) int {
	switch v := v.(type) { // most values
	case nil, bool, int, int64, float64:
		return 0
	case string:
		return len(v)
	}
	return sizeOf(reflect.ValueOf(v), size, 4)
}

var sizer = reflect.TypeFor[interface{ Size() int }]()

func sizeOf(v reflect.Value, size func(v interface{ Size() int }) int, depth int) (n int) {
	if !v.IsValid() || depth == 0 {
		return 0
	}
	if v.CanInterface() && v.Type().Implements(sizer) {
		return size(v.Interface().(interface{ Size() int }))
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		switch v.Type().Elem().Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Slice, reflect.String, reflect.Struct:
			for i := range v.Len() {
				n += sizeOf(v.Index(i), size, depth-1)
			}
		}
	case reflect.Interface:
		return sizeOf(v.Elem(), size, depth)
	case reflect.Pointer:
		if !v.IsNil() {
			return int(v.Type().Elem().Size()) + sizeOf(v.Elem(), size, depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += sizeOf(v.Field(i), size, depth-1)
		}
	case reflect.Map:
		n = v.Len() * int(v.Type().Elem().Size()+v.Type().Key().Size()+16)
		for at := v.MapRange(); at.Next(); {
			n += sizeOf(at.Key(), size, depth-1) + sizeOf(at.Value(), size, depth-1)
		}
	}
	return n
}
