package flow

import (
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus"
)

// Register adds a node class to r. It panics if the program has a mistake, for
// example a name that is used twice or an invalid tag. The panic text names the
// place of the mistake and the correction.
func Register[Out any](r *Registry, proto nodebus.Node[Out], info nodebus.Info) {
	c := newStructClass(proto, reflect.TypeFor[Out](), info, func(ctx *nodebus.Context, node any) (any, error) {
		return node.(nodebus.Node[Out]).Run(ctx)
	})
	if old := r.add(c); old != nil {
		panic(fmt.Sprintf("nodebus: node %s: the name %q is taken by %s; set Info.Name to another", c.maker, c.Name(), old.maker))
	}
}
