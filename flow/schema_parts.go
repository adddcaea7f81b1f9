package flow

import (
	"cmp"
	"strings"
)

// dynamic checks an input that stands for others, or whose type follows from others. It
// replaces what the input points to by copies.
func (k *schemaChecker) dynamic(at string, p *Port) error {
	kinds := 0
	for _, is := range []bool{p.Grow != nil, p.Cases != nil, p.Match != nil, p.Rest} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return k.wrong(at, "has more than one of Grow, Cases, Match and Rest", "keep one of them")
	case kinds == 0:
		return nil
	case p.Choices != nil || p.Default != nil:
		return k.wrong(at, "has a default or choices, beside Grow, Cases, Match or Rest", "remove Default and Choices")
	}
	switch {
	case p.Grow != nil:
		return k.grow(at, p)
	case p.Cases != nil:
		return k.cases(at, p)
	}
	return k.match(at, p)
}

// plain refuses members that belong to the inputs that an input stands for.
func (k *schemaChecker) plain(at string, p *Port) error {
	if p.Lazy || p.List || p.Min != nil || p.Max != nil || p.Type != "" {
		return k.wrong(at, "stands for other inputs and has itself a type, limits, Lazy or List", "set these members of the other inputs")
	}
	return nil
}

func (k *schemaChecker) grow(at string, p *Port) error {
	if err := k.plain(at, p); err != nil {
		return err
	}
	g := *p.Grow
	if p.Grow = &g; g.Names != nil {
		g.Prefix, g.Max = "", 0
	} else {
		g.Prefix, g.Max = cmp.Or(g.Prefix, p.Name), cmp.Or(g.Max, 10)
	}
	if wrong := g.wrong(); wrong != "" {
		wrong, mend, _ := strings.Cut(wrong, "; ")
		return k.wrong(at, "%s", mend, wrong)
	}
	e := &g.Element
	if e.Name = cmp.Or(e.Name, g.Prefix, p.Name); e.Grow != nil || e.Cases != nil || e.Rest || e.Default != nil || e.Kind == PortHidden {
		return k.wrong(at, "grows, and the inputs that it stands for are hidden, have a default, or stand for others", "change Grow.Element")
	}
	all, err := k.inputs(at+".", []Port{*e})
	if err == nil {
		*e = all[0]
	}
	return err
}

func (k *schemaChecker) cases(at string, p *Port) error {
	if err := k.plain(at, p); err != nil {
		return err
	}
	if len(p.Cases) == 0 {
		return k.wrong(at, "is a drop-down without choices", "write a Case for each choice")
	}
	cases, keys := make([]Case, len(p.Cases)), map[string]bool{}
	for i, c := range p.Cases {
		if keys[c.Key] {
			return k.wrong(at, "has the choice %q twice", "remove one of them", c.Key)
		}
		keys[c.Key] = true
		inputs, err := k.inputs(at+".", c.Inputs)
		if err != nil {
			return err
		}
		for _, in := range inputs {
			switch {
			case in.Rest:
				return k.wrong(at+"."+in.Name, "takes all inputs, but belongs to a choice", "move it to the inputs of the class")
			case in.Name == p.Name[strings.LastIndexByte(p.Name, '.')+1:]:
				return k.wrong(at+"."+in.Name, "has the name of its drop-down", "rename it")
			case strings.Contains(in.Name, "."):
				return k.wrong(at+"."+in.Name, "belongs to a choice and has a dot in its name", "rename it")
			}
		}
		cases[i] = Case{c.Key, inputs}
	}
	p.Cases = cases
	return nil
}

func (k *schemaChecker) match(at string, p *Port) error {
	if p.Match == nil {
		return nil
	}
	if p.Match.ID == "" {
		return k.wrong(at, "has a Match without an ID", "set Match.ID to the same text for all ports that have the same type")
	}
	m := *p.Match
	p.Match = &m
	return nil
}

// apart checks that no name of an input could be that of an input that another stands for, and
// that at most one input takes all others.
func (k *schemaChecker) apart(within string, ports []Port) error {
	rests := 0
	for i := range ports {
		if ports[i].Rest {
			rests++
		}
		for _, d := range ports {
			if (d.Grow != nil || d.Cases != nil) && strings.HasPrefix(ports[i].Name, d.Name+".") {
				return k.wrong(within+ports[i].Name, "looks like an input below %s", "rename it", d.Name)
			}
		}
	}
	if rests > 1 {
		return k.wrong(within, "has two inputs that take all others", "remove one of them")
	}
	return nil
}
