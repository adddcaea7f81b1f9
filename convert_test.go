package nodebus_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// givenRuntime is a Runtime in which every output has the same value.
type givenRuntime struct{ v any }

func (g givenRuntime) Input(context.Context, string) (any, error) { return g.v, nil }

func (g givenRuntime) Eval(context.Context, *nodebus.Graph, ...nodebus.Link) ([]any, error) {
	return []any{g.v}, nil
}

func (givenRuntime) Await(context.Context, nodebus.Waiting, func(json.RawMessage) error) (json.RawMessage, error) {
	return nil, nodebus.ErrExpired
}

func (givenRuntime) Progress(float64, float64) error { return nil }

func (givenRuntime) Graph() nodebus.Nodes { return nil }

// takenAs returns v as a node with an input of type T receives it.
func takenAs[T any](v any) (any, error) {
	ctx := nodebus.NewContext(context.Background(), nodebus.CallInfo{Runtime: givenRuntime{v}})
	return nodebus.Eval[T](ctx, nodebus.NewGraph(), nodebus.Link{})
}

type (
	modeName   string
	smallCount uint8
	yesNo      bool
)

// TestConvert checks the conversion of values for a node: a value of the right type
// stays unchanged, and a number is converted to another number type if that type can
// hold it.
func TestConvert(t *testing.T) {
	list, point := []int{1}, &shownPoint{}
	for _, c := range []struct {
		take func(any) (any, error)
		from any
		want any
	}{
		{takenAs[int], 5, 5},
		{takenAs[*shownPoint], point, point},
		{takenAs[[]int], list, list},
		{takenAs[any], list, list},
		{takenAs[any], json.Number("1"), 1},
		{takenAs[any], (*shownPoint)(nil), nil},
		{takenAs[any], point, point},
		{takenAs[[]any], []any{json.Number("2.0"), (*int)(nil)}, []any{json.Number("2.0"), (*int)(nil)}},
		{takenAs[json.Number], json.Number("1"), json.Number("1")},
		{takenAs[error], context.Canceled, context.Canceled},

		{takenAs[any], nil, nil},
		{takenAs[error], nil, nil},
		{takenAs[*shownPoint], nil, (*shownPoint)(nil)},
		{takenAs[[]int], nil, []int(nil)},
		{takenAs[map[string]int], nil, map[string]int(nil)},

		{takenAs[float64], 3, 3.0},
		{takenAs[float64], uint64(math.MaxUint64), float64(math.MaxUint64)},
		{takenAs[float64], float32(0.5), 0.5},
		{takenAs[float32], 0.5, float32(0.5)},
		{takenAs[float32], math.Inf(1), float32(math.Inf(1))},
		{takenAs[int], 3.0, 3},
		{takenAs[int], -3.0, -3},
		{takenAs[int64], -float64(1 << 63), int64(math.MinInt64)},
		{takenAs[uint64], float64(1 << 63), uint64(1 << 63)},
		{takenAs[uint8], 255, uint8(255)},
		{takenAs[smallCount], int64(255), smallCount(255)},
		{takenAs[int8], uint64(127), int8(127)},
		{takenAs[uint64], uint64(math.MaxUint64), uint64(math.MaxUint64)},
		{takenAs[int64], uint8(7), int64(7)},

		{takenAs[int], json.Number("5"), 5},
		{takenAs[int], json.Number("-0"), 0},
		{takenAs[int], json.Number("1e3"), 1000},
		{takenAs[float64], json.Number("2.5"), 2.5},
		{takenAs[uint64], json.Number("18446744073709551615"), uint64(math.MaxUint64)},
		{takenAs[int64], json.Number("-9223372036854775808"), int64(math.MinInt64)},
		{takenAs[float64], json.Number("18446744073709551616"), float64(1 << 64)},

		{takenAs[modeName], "fast", modeName("fast")},
		{takenAs[string], modeName("fast"), "fast"},
		{takenAs[yesNo], true, yesNo(true)},
		{takenAs[bool], yesNo(true), true},

		{takenAs[[]string], []any{"a", modeName("b")}, []string{"a", "b"}},
		{takenAs[shownPoint], &shownPoint{}, shownPoint{}},
		{takenAs[*shownPoint], shownPoint{}, &shownPoint{}},
		{takenAs[*int], json.Number("5"), new5()},
		{takenAs[int64], new5(), int64(5)},
		{takenAs[*int], nil, (*int)(nil)},
		{takenAs[*int64], (*int)(nil), (*int64)(nil)},
		{takenAs[*any], (*shownPoint)(nil), (*any)(nil)},
		{takenAs[time.Time], "2026-01-02T03:04:05Z", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
	} {
		got, err := c.take(c.from)
		require.NoError(t, err, "%T %v", c.from, c.from)
		require.Equal(t, c.want, got, "%T %v", c.from, c.from)
	}
}

func new5() *int {
	n := 5
	return &n
}

func TestConvertFails(t *testing.T) {
	for _, c := range []struct {
		take func(any) (any, error)
		from any
		says string
	}{
		{takenAs[int], nil, "needs a whole number, got null"},
		{takenAs[string], nil, "needs a string, got null"},
		{takenAs[shownPoint], nil, "needs a value of type SHOWNPOINT, got null"},
		{takenAs[int], "5", `needs a whole number, got the string "5"`},
		{takenAs[int], strings.Repeat("x", 1<<20), "needs a whole number, got a string of 1048576 bytes"},
		{takenAs[string], 5, "needs a string, got the number 5"},
		{takenAs[string], json.Number("5"), "needs a string, got the number 5"},
		{takenAs[int], true, "needs a whole number, got true"},
		{takenAs[bool], 1, "needs a boolean, got the number 1"},
		{takenAs[int], 3.5, "needs a whole number, got the number 3.5"},
		{takenAs[int], json.Number("3.5"), "needs a whole number, got the number 3.5"},
		{takenAs[int], math.NaN(), "got the number NaN"},
		{takenAs[int], math.Inf(1), "got the number +Inf"},
		{takenAs[int64], float64(1 << 63), "needs a whole number from -9223372036854775808 to 9223372036854775807"},
		{takenAs[int64], -float64(1<<63) * 1.5, "needs a whole number from -9223372036854775808 to 9223372036854775807"},
		{takenAs[uint64], float64(1 << 64), "needs a whole number from 0 to 18446744073709551615"},
		{takenAs[uint64], -1.0, "needs a whole number from 0 to 18446744073709551615, got the number -1"},
		{takenAs[int64], uint64(1 << 63), "needs a whole number from -9223372036854775808 to 9223372036854775807, got the number 9223372036854775808"},
		{takenAs[uint8], 256, "needs a whole number from 0 to 255, got the number 256"},
		{takenAs[int8], -129, "needs a whole number from -128 to 127, got the number -129"},
		{takenAs[uint], -1, "needs a whole number from 0 to 18446744073709551615, got the number -1"},
		{takenAs[float32], 1e300, "needs a number of at most 3.4028234663852886e+38, got the number 1e+300"},
		{takenAs[float64], json.Number("1e400"), `needs a number, got the string "1e400"`},
		{takenAs[[]string], []any{"a", 1}, "element 1: needs a string, got the number 1"},
		{takenAs[[]string], []int{1}, "needs a list of strings, got a list of whole numbers"},
		{takenAs[shownPoint], (*shownPoint)(nil), "needs a value of type SHOWNPOINT, got null"},
		{takenAs[shownPoint], new(*shownPoint), "needs a value of type SHOWNPOINT, got another type with this name: **nodebus_test.shownPoint instead of nodebus_test.shownPoint"},
		{takenAs[*int], "5", `needs a whole number, got the string "5"`},
		{takenAs[time.Time], "now", `needs a value of type TIME, got the string "now": parsing time "now"`},
		{takenAs[error], "no error", `needs a value of type ERROR, got the string "no error"`},
	} {
		_, err := c.take(c.from)
		require.ErrorContains(t, err, c.says)
	}
}

// TestReady checks that Get of a Ready input returns its value at once, for any type.
func TestReady(t *testing.T) {
	v, err := nodebus.Ready[any](nil).Get(t.Context())
	require.NoError(t, err)
	require.Nil(t, v)
	n, err := nodebus.Ready(7).Get(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, n)
	var unset nodebus.Lazy[string]
	s, err := unset.Get(t.Context())
	require.NoError(t, err)
	require.Empty(t, s)
}

// TestTo: the converter of authors has the rules of a link, and reads decoded JSON.
func TestTo(t *testing.T) {
	deep := map[string]any{"a": []any{json.Number("1"), json.Number("2.0")}, "b": json.Number("18446744073709551615")}
	got, err := nodebus.To[any](deep)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"a": []any{1, 2.0}, "b": uint64(math.MaxUint64)}, got)
	require.Equal(t, json.Number("1"), deep["a"].([]any)[0], "v is not modified")

	object, err := nodebus.To[map[string]any](deep)
	require.NoError(t, err)
	require.Equal(t, got, object)
	list, err := nodebus.To[nodebus.List[int]]([]any{json.Number("1"), 2.0})
	require.NoError(t, err)
	require.Equal(t, nodebus.List[int]{1, 2}, list)
	point, err := nodebus.To[*shownPoint](map[string]any{})
	require.NoError(t, err)
	require.Equal(t, &shownPoint{}, point)
	none, err := nodebus.To[any]((*shownPoint)(nil))
	require.NoError(t, err)
	require.Equal(t, any(nil), none)

	self := map[string]any{}
	self["self"] = self
	_, err = nodebus.To[any](self)
	require.NoError(t, err, "what contains itself has no numbers")

	_, err = nodebus.To[nodebus.List[int]]([]any{1, "x"})
	require.EqualError(t, err, `nodebus: To: element 1: needs a whole number, got the string "x"`)
	_, err = nodebus.To[shownPoint](map[string]any{"X": "no number"})
	require.EqualError(t, err, "nodebus: To: needs a value of type SHOWNPOINT, got an object")
	_, err = nodebus.To[int](nil)
	require.EqualError(t, err, "nodebus: To: needs a whole number, got null")
}
