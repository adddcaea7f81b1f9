package flow

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
)

// element checks one literal. It sets val to the value for the node's field and
// returns the value for the record.
func (c *checker) element(f *field, val *any, received, v any) (coerced any, ok bool) {
	switch {
	case f.Raw:
		return nil, c.unfit(f, received, errNotLinked)
	case f.Choices != nil:
		v = value.Text(v)
		return v, c.chosen(f, val, v)
	}
	v, err := f.coerce(v)
	if err == nil && !f.Unchecked && !f.comparable(v) {
		c.incomparable(f, v)
		return nil, false
	}
	if err == nil && (f.Unchecked || !exceeds(v, f.Min, -1) && !exceeds(v, f.Max, +1)) {
		*val, err = f.literalOf(v)
	}
	if err != nil {
		return nil, c.unfit(f, received, err)
	}
	return v, f.Unchecked || c.within(f, v)
}

// literalOf converts a coerced literal to the type of the field. In a field of type any, an INT
// is an int, as in a field that takes every type.
func (f *field) literalOf(v any) (any, error) {
	if n, is := v.(int64); is && f.elem == anyType {
		v = int(n)
	}
	return value.Literal(f.elem, v)
}

// comparable reports whether a literal can be compared with the limits, if there are some. A
// text that the type itself reads has no limits.
func (f *field) comparable(v any) bool {
	if f.Min == nil && f.Max == nil || value.Decodes(f.elem) {
		return true
	}
	_, isNumber := value.Compare(numeric(v), 0)
	return isNumber
}

// incomparable reports a literal that cannot be compared with the limits.
func (c *checker) incomparable(f *field, v any) {
	limit := f.Min
	if limit == nil {
		limit = f.Max
	}
	p := c.exception(fmt.Sprintf("input %s is %s, which cannot be compared with the limit %s", f.Name, value.Shorten(pyfmt.Repr(v)), pyfmt.Str(limit)), "TypeError")
	c.raised = &p
}

// coerce converts a literal to the type that the input declares. A type that reads text itself
// gets the text.
func (f *field) coerce(v any) (any, error) {
	if text, isText := v.(string); isText && value.Decodes(f.elem) {
		if _, err := value.Literal(f.elem, text); err == nil || !isNumber(f.elem) {
			return text, err
		}
	}
	return value.Coerce(f.Type, v)
}

// errNotLinked is the error for a literal where the node wants a link.
var errNotLinked = errors.New("the node receives the link itself; connect the input to an output")

// unfit reports a literal that the input cannot hold. It returns false.
func (c *checker) unfit(f *field, received any, err error) bool {
	extra := f.about(received)
	extra["exception_message"] = err.Error()
	shown := pyfmt.Str(received)
	if _, known := literals[f.Type]; !known && f.Type != "*" { // ComfyUI converts no other types
		shown = pyfmt.Repr(received)
	}
	c.fail("invalid_input_type", fmt.Sprintf("Failed to convert an input value to a %s value", f.Type),
		fmt.Sprintf("%s, %s, %v", f.Name, value.Shorten(shown), err), extra)
	return false
}

func (f *field) about(received any) map[string]any {
	return map[string]any{"input_name": f.Name, "input_config": f.config(), "received_value": received}
}

// within checks the limits.
func (c *checker) within(f *field, v any) bool {
	switch {
	case exceeds(v, f.Min, -1):
		c.fail("value_smaller_than_min", fmt.Sprintf("Value %s smaller than min of %s", pyfmt.Str(v), pyfmt.Str(f.Min)), f.Name, f.about(v))
		return false
	case exceeds(v, f.Max, +1):
		c.fail("value_bigger_than_max", fmt.Sprintf("Value %s bigger than max of %s", pyfmt.Str(v), pyfmt.Str(f.Max)), f.Name, f.about(v))
		return false
	}
	return true
}

// shownChoice formats a wrong choice for messages: a text is quoted, another value is not.
func shownChoice(v any) string {
	if text, isText := v.(string); isText {
		return "'" + value.Shorten(text) + "'"
	}
	return value.Shorten(pyfmt.Repr(v))
}

// chosen checks the choice, or the choices if f takes several. As in ComfyUI, a single value
// is enough for a drop-down that takes several.
func (c *checker) chosen(f *field, val *any, v any) bool {
	members := []any{v}
	if f.Multi {
		if all, ok := value.Elements(v, f.member()); ok {
			members = all
		}
	}
	choices := f.Choices()
	picks := make([]any, len(members))
	var wrong []string
	for i, m := range members {
		if m = value.Text(m); !f.Unchecked && !c.within(f, m) {
			return false
		}
		choice, ok := find(choices, m)
		switch {
		case ok:
			picks[i] = choice
		case !f.Unchecked:
			wrong = append(wrong, shownChoice(m))
		case underlying(f.member()).Kind() == reflect.String:
			picks[i] = pyfmt.Str(m)
		default:
			picks[i] = m
		}
	}
	if len(wrong) > 0 {
		extra := f.about(v)
		if len(choices) > 20 {
			extra["input_config"] = nil
		}
		c.fail("value_not_in_list", "Value not in list", fmt.Sprintf("%s: %s not in %s", f.Name, value.Shorten(strings.Join(wrong, ", ")), describeList(choices)), extra)
		return false
	}
	var err error
	if f.Multi {
		*val, err = value.Literal(f.elem, picks)
	} else {
		*val, err = value.Literal(f.elem, picks[0])
	}
	if err != nil {
		return c.unfit(f, v, err)
	}
	return true
}
