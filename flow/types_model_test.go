package flow_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// modeled has one input for each way in which a number is read.
type modeled struct {
	I int8     `in:"i,optional" min:"-5"`
	P *uint16  `in:"p,optional" max:"300"`
	C int      `in:"c,optional" options:"0,1,2"`
	D *float32 `in:"d,optional" options:"0.5,1"`
	M []int64  `in:"m,optional" options:"1,2,3"`
}

func (n modeled) Run(*nodebus.Context) (nodebus.UI, error) {
	enc, err := json.Marshal(n)
	return nodebus.Text(string(enc)), err
}

var digits = regexp.MustCompile(`^[+-]?[0-9]+(_[0-9]+)*$`)

// naive reads literals as the specification describes it, with fractions.
type naive struct{}

// whole returns what an INT makes of a literal; nil if it is refused.
func (naive) whole(v any) *big.Int {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewInt(1)
		}
		return big.NewInt(0)
	case string:
		if text := strings.TrimSpace(v); digits.MatchString(text) {
			n, _ := new(big.Int).SetString(strings.ReplaceAll(text, "_", ""), 10)
			return n
		}
	case json.Number:
		r, _ := new(big.Rat).SetString(string(v))
		return new(big.Int).Quo(r.Num(), r.Denom()) // toward zero
	}
	return nil
}

// between returns what a field of type INT with these limits holds; "" if it is refused.
func (m naive) between(v any, low, high int64) string {
	n := m.whole(v)
	if n == nil || n.Cmp(big.NewInt(low)) < 0 || n.Cmp(big.NewInt(high)) > 0 {
		return ""
	}
	return n.String()
}

// choice returns the choice that is equal to the literal; "" if there is none.
func (naive) choice(v any, choices ...string) string {
	switch b := v.(type) {
	case bool:
		v = json.Number("0")
		if b {
			v = json.Number("1")
		}
	case json.Number:
	default:
		return ""
	}
	r, _ := new(big.Rat).SetString(string(v.(json.Number)))
	for _, c := range choices {
		if want, _ := new(big.Rat).SetString(c); want.Cmp(r) == 0 {
			return c
		}
	}
	return ""
}

func (m naive) choices(v any, choices ...string) string {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	picks := []string{}
	for _, e := range list {
		pick := m.choice(e, choices...)
		if pick == "" {
			return ""
		}
		picks = append(picks, pick)
	}
	return "[" + strings.Join(picks, ",") + "]"
}

// TestModelLiterals compares random literals with the naive reading of them.
func TestModelLiterals(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, modeled{}, nodebus.Info{Name: "Modeled"})
	rng := rand.New(rand.NewPCG(13, 3))
	var draw func(deep bool) string
	draw = func(deep bool) string {
		n := rng.IntN(8) - 2
		switch rng.IntN(12) {
		case 0:
			return []string{"null", "true", "false", `"x"`, `""`, `{}`, `{"a":1}`}[rng.IntN(7)]
		case 1:
			return fmt.Sprintf("%q", fmt.Sprint(" ", n))
		case 2:
			return fmt.Sprintf("%q", fmt.Sprintf("+%d_0", n))
		case 3, 4:
			return fmt.Sprintf("%d.5", n)
		case 5, 6:
			return fmt.Sprintf("%d.0", n)
		case 7:
			return []string{"-1e2", "3e2", "300", "301", "127", "128", "1e30", "9223372036854775808", "18446744073709551616"}[rng.IntN(9)]
		case 8, 9:
			if deep {
				list := make([]string, rng.IntN(4))
				for i := range list {
					list[i] = draw(false)
				}
				return `{"__value__":[` + strings.Join(list, ",") + `]}`
			}
		}
		return fmt.Sprint(n)
	}
	accepted := 0
	for range 4000 {
		text := draw(true)
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var v any
		require.NoError(t, dec.Decode(&v))
		if m, ok := v.(map[string]any); ok && m["__value__"] != nil {
			v = m["__value__"]
		}
		m := naive{}
		for name, want := range map[string]string{
			"i": m.between(v, -5, 127), "p": m.between(v, 0, 300),
			"c": m.choice(v, "0", "1", "2"), "d": m.choice(v, "0.5", "1"), "m": m.choices(v, "1", "2", "3"),
		} {
			inputs := `{"` + name + `":` + text + `}`
			problem := problemOf(t, r, "Modeled", inputs)
			require.Equal(t, want == "", problem != "", "%s: %s, %s", inputs, want, problem)
			if want != "" {
				accepted++
				var got map[string]json.RawMessage
				require.NoError(t, json.Unmarshal([]byte(shownBy(t, r, "Modeled", inputs)), &got))
				require.Equal(t, want, string(got[strings.ToUpper(name)]), inputs)
			}
		}
	}
	require.Greater(t, accepted, 1000)
}

// FuzzLiterals: whatever the literals are, a prompt is refused with an error that has a form,
// or it runs, and runs with the same result after it was stored.
func FuzzLiterals(f *testing.F) {
	for _, seed := range []string{
		`{"i":3,"big":"8","rec":{"X":1},"when":"2026-01-02T03:04:05Z","lvl":"warn"}`,
		`{"n":1,"f":0.5,"size":512,"tags":{"__value__":["a"]},"counts":1,"speed":1}`,
		`{"i":null,"nums":{"__value__":[1,[2]]},"trio":{"__value__":[1]},"by_id":{"a":null},"num":"1e9"}`,
		`{"n":{"__value__":{"__value__":1}},"f":1e999,"size":-0.0,"taste":{"__value__":[true,null]}}`,
	} {
		f.Add(seed)
	}
	r := typesRegistry()
	f.Fuzz(func(t *testing.T, inputs string) {
		var any map[string]any
		if json.Unmarshal([]byte(inputs), &any) != nil || any == nil {
			return
		}
		for _, class := range []string{"Chooser", "Pointed", "Wide"} {
			nodes, err := nodebus.ParseNodes([]byte(`{"1":{"class_type":"` + class + `","inputs":` + inputs + `}}`))
			if err != nil {
				return
			}
			p := &nodebus.Prompt{ID: "p", Nodes: nodes}
			prepared, err := r.Prepare(t.Context(), p)
			if err != nil {
				_, err = json.Marshal(err)
				require.NoError(t, err)
				continue
			}
			stored, err := json.Marshal(p.Nodes)
			require.NoError(t, err)
			first := fuzzRun(t, r, nodebus.Job{Prompt: p, Prepared: prepared})
			second := fuzzRun(t, r, nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: parse(t, string(stored))}})
			require.Equal(t, first, second, string(stored))
		}
	})
}

// fuzzRun runs a prompt of one node and returns what it shows, or its error.
func fuzzRun(t *testing.T, r *flow.Registry, job nodebus.Job) string {
	report, err := flow.NewLocal(r, nil).Execute(t.Context(), job, deafPublisher{})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(report.Outputs[0].UI["text"])
}
