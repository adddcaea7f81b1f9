package value

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Finite returns v with nil in the place of each NaN and infinity, which JSON cannot
// represent. changed is false if v has none. Lists and objects of v are not written to.
// Finite returns an error if JSON cannot represent v for another reason, for example because
// v contains a channel or itself.
func Finite(v any) (finite any, changed bool, err error) { return finiteAt(v, 0) }

func finiteAt(v any, depth int) (finite any, changed bool, err error) {
	switch v := v.(type) {
	case nil, bool, string, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return v, false, nil
	case float64:
		if jsonenc.Finite(v) {
			return v, false, nil
		}
		return nil, true, nil
	case json.Number:
		if _, is := jsonenc.Infinite(v); is {
			return nil, true, nil
		}
	case []any:
		if depth < keyDepth {
			return finiteList(v, depth)
		}
	case map[string]any:
		if depth < keyDepth {
			return finiteMap(v, depth)
		}
	}
	return finiteOther(v)
}

func finiteList(list []any, depth int) (_ any, changed bool, err error) {
	own := list
	for i, e := range list {
		f, replaced, err := finiteAt(e, depth+1)
		if err != nil {
			return nil, false, err
		}
		if !replaced {
			continue
		}
		if !changed {
			own, changed = slices.Clone(list), true
		}
		own[i] = f
	}
	return own, changed, nil
}

func finiteMap(m map[string]any, depth int) (_ any, changed bool, err error) {
	own := m
	for name, e := range m {
		f, replaced, err := finiteAt(e, depth+1)
		if err != nil {
			return nil, false, err
		}
		if !replaced {
			continue
		}
		if !changed {
			own, changed = maps.Clone(m), true
		}
		own[name] = f
	}
	return own, changed, nil
}

// finiteOther is Finite for values of any type, and for values so deep that they may
// contain themselves. If it must change the value, it returns what JSON decodes to.
func finiteOther(v any) (_ any, changed bool, err error) {
	_, err = json.Marshal(v)
	var odd *json.UnsupportedValueError
	if err == nil || !errors.As(err, &odd) {
		return v, false, err
	}
	text, err := jsonenc.Marshal(v)
	if err != nil {
		return nil, false, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var finite any
	if err := dec.Decode(&finite); err != nil {
		return nil, false, err
	}
	return finite, true, nil
}
