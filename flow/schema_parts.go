package flow

import (
	"cmp"
	"strings"
)

// dynamic checks an input that stands for others, or whose type follows from others. It
// replaces what the input points to by copies.
func (k *schemaChecker) dynamic(at string, p *Port) error {
	switch {
	case p.Match != nil && (p.Grow != nil || p.Cases != nil || p.Rest):
		return k.wrong(at, "has a Match, and stands for other inputs", "keep one of them; the Element of a Grow may have a Match")
	case p.Match != nil:
		return k.match(at, p)
	case p.Grow == nil && p.Cases == nil && !p.Rest:
		return nil
	case p.Choices != nil || p.Default != nil:
		return k.wrong(at, "stands for other inputs, and has choices or a default", "remove Choices and Default")
	case !p.Rest && (p.Lazy || p.List || p.Min != nil || p.Max != nil || p.Type != ""):
		return k.wrong(at, "stands for other inputs, and has itself a type, limits, Lazy or List", "set these members of the other inputs")
	}
	if p.Grow != nil {
		g := *p.Grow
		if p.Grow = &g; g.Names == nil {
			g.Prefix, g.Max = cmp.Or(g.Prefix, p.Name), cmp.Or(g.Max, 10)
		}
		g.Element.Name = cmp.Or(g.Element.Name, g.Prefix, p.Name)
	}
	if wrong, mend, _ := strings.Cut(p.wrongDynamic(), "; "); wrong != "" {
		return k.wrong(at, "%s", mend, wrong)
	}
	return k.parts(at, p)
}

// parts checks the inputs that an input stands for.
func (k *schemaChecker) parts(at string, p *Port) error {
	if p.Grow != nil {
		all, err := k.inputs(at+".", []Port{p.Grow.Element})
		if err == nil {
			p.Grow.Element = all[0]
		}
		return err
	}
	cases := make([]Case, len(p.Cases))
	for i, c := range p.Cases {
		inputs, err := k.inputs(at+".", c.Inputs)
		if err != nil {
			return err
		}
		cases[i] = Case{c.Key, inputs}
	}
	if p.Cases != nil {
		p.Cases = cases
	}
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

// apart checks that no input has a name that belongs to an input that another stands for, and
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
