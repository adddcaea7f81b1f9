package golden_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/refpack"
	"github.com/stretchr/testify/require"
)

// TestGoldenSchemas compares what the classes say of themselves with what the
// reference says in /object_info.
func TestGoldenSchemas(t *testing.T) {
	r := nodebus.NewRegistry()
	refpack.Register(r, nil)
	recorded := map[string]map[string]any{}
	for _, tr := range loadTraces(t) {
		maps.Copy(recorded, tr.ObjectInfo)
	}
	for _, name := range slices.Sorted(maps.Keys(recorded)) {
		t.Run(name, func(t *testing.T) {
			c, ok := r.Class(name)
			require.True(t, ok)
			require.Equal(t, plainInfo(recorded[name]), plainInfo(viaJSON(t, objectInfo(c.Schema()))))
		})
	}
}

// objectInfo is a schema in the form of /object_info.
func objectInfo(s nodebus.Schema) any {
	input, order := map[nodebus.PortKind]map[string]any{}, map[nodebus.PortKind][]string{}
	for _, p := range s.Inputs {
		if input[p.Kind] == nil {
			input[p.Kind] = map[string]any{}
		}
		order[p.Kind] = append(order[p.Kind], p.Name)
		typ, options := p.Config()
		if input[p.Kind][p.Name] = []any{typ, options}; p.Kind == nodebus.Hidden {
			input[p.Kind][p.Name] = typ
		}
	}
	output, isList, names := []any{}, []bool{}, []string{}
	for _, p := range s.Outputs {
		typ, _ := p.Config()
		output, isList, names = append(output, typ), append(isList, p.List), append(names, p.Name)
	}
	return map[string]any{
		"input": input, "input_order": order,
		"output": output, "output_is_list": isList, "output_name": names, "output_node": s.Output,
		"name": s.Name, "display_name": s.Title, "category": s.Category, "description": s.Description,
	}
}

// plainInfo leaves out what a schema has no word for: the Python module,
// and whether an input without options has an empty list of them or none. Texts
// for people need only be there.
func plainInfo(v any) any {
	info := v.(map[string]any)
	delete(info, "python_module")
	info["description"] = info["description"] != ""
	for kind, ports := range info["input"].(map[string]any) {
		for name, port := range ports.(map[string]any) {
			config, ok := port.([]any)
			if !ok { // hidden
				continue
			}
			if len(config) == 1 {
				config = append(config, map[string]any{})
			}
			if tip, ok := config[1].(map[string]any)["tooltip"]; ok {
				config[1].(map[string]any)["tooltip"] = tip != ""
			}
			info["input"].(map[string]any)[kind].(map[string]any)[name] = config
		}
	}
	return info
}
