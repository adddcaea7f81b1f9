package comfy

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/nodebus/nodebus/flow"
)

// objectInfo answers GET /object_info with the descriptions of all classes, and
// GET /object_info/{class} with the description of one class. If the class is not
// known, the answer is an empty object and not an error.
func (s *Server) objectInfo(w http.ResponseWriter, r *http.Request) {
	classes := object{}
	_, name, _ := strings.Cut(r.URL.Path, "/object_info")
	if name = strings.Trim(name, "/"); name != "" {
		if c, ok := s.reg.Class(name); ok {
			s.describe(&classes, c)
		}
	} else {
		for c := range s.reg.Classes() {
			s.describe(&classes, c)
		}
	}
	answer(w, http.StatusOK, classes)
}

// nodeReplacements answers GET /node_replacements with what becomes of the nodes of old
// classes. ComfyUI can have several replacements for a class, but uses only the first.
func (s *Server) nodeReplacements(w http.ResponseWriter, _ *http.Request) {
	all := object{}
	for rep := range s.reg.Replacements() {
		all.add(rep.Old, []any{rep})
	}
	answer(w, http.StatusOK, all)
}

// describe adds the description of a class. If the choices of an input cannot be
// read, or if the description cannot be encoded as JSON, describe logs the error
// and leaves the class out.
func (s *Server) describe(to *object, c *flow.Class) {
	d, err := definition(c.Schema())
	var text []byte
	if err == nil {
		text, err = appendJSON(nil, d)
	}
	if err != nil {
		s.opts.Logger.Error("class not described", "class", c.Name(), "error", err)
		return
	}
	to.add(c.Name(), rawJSON(text))
}

// definition returns a schema in the format of /object_info.
func definition(sc flow.Schema) (object, error) {
	input, order := object{}, object{}
	for _, kind := range []flow.PortKind{flow.PortRequired, flow.PortOptional, flow.PortHidden} {
		ports, names := object{}, []string{}
		for _, p := range sc.Inputs {
			if p.Kind == kind {
				c, err := config(&p)
				if err != nil {
					return nil, fmt.Errorf("input %s: %w", p.Name, err)
				}
				ports.add(p.Name, c)
				names = append(names, p.Name)
			}
		}
		if len(names) > 0 || kind == flow.PortRequired {
			input.add(string(kind), ports)
			order.add(string(kind), names)
		}
	}
	types, lists, names, tips := []any{}, []bool{}, []string{}, []string{}
	for _, p := range sc.Outputs {
		typ, _, err := p.Config()
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", p.Name, err)
		}
		types, lists, names = append(types, typ), append(lists, p.List), append(names, p.Name)
	}
	for _, p := range sc.Outputs {
		tip := ""
		for _, o := range p.Options {
			if o.Name == "tooltip" {
				tip, _ = o.Value.(string)
			}
		}
		tips = append(tips, tip)
	}
	o := object{
		{"input", input},
		{"input_order", order},
		{"output", types},
		{"output_is_list", lists},
		{"output_name", names},
		{"name", sc.Name},
		{"display_name", sc.Title},
		{"description", sc.Description},
		{"python_module", "nodes"},
		{"category", sc.Category},
		{"output_node", sc.Output},
	}
	if strings.Join(tips, "") != "" {
		o.add("output_tooltips", tips)
	}
	return o, nil
}

// config describes an input as [type, options]. The options have the order of the
// declaration. For a hidden input, config returns the name of the value that the
// engine puts in.
func config(p *flow.Port) (any, error) {
	if p.Kind == flow.PortHidden {
		return p.Type, nil
	}
	typ, all, err := p.Config()
	if err != nil {
		return nil, err
	}
	options := object{}
	for _, o := range p.Options {
		options.add(o.Name, o.Value)
	}
	if choices, ok := all["options"]; ok && len(options) < len(all) {
		options.add("options", choices)
	}
	return []any{typ, options}, nil
}
