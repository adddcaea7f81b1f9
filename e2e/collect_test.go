//go:build e2e

package e2e

import (
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
)

// Collect shows the inputs that it got. It has a socket for each part that is linked, and
// one more, and other inputs for each mode.
type Collect struct {
	Parts []nodebus.Named[int] `grow:"part,min=1,max=5"`
	Mode  CollectMode
}

// CollectMode is a choice. The field that is not nil is the chosen one.
type CollectMode struct {
	Fast *struct{}    `choice:"fast"`
	Fine *CollectFine `choice:"fine"`
}

// CollectFine holds the inputs of the mode "fine".
type CollectFine struct {
	Steps int    `default:"20" min:"1"`
	Extra int    `in:",optional,force"`
	Label string `in:",optional" default:"x"`
}

// Run shows the parts, and the inputs of the mode.
func (n Collect) Run(*nodebus.Context) (nodebus.UI, error) {
	var got []string
	for _, part := range n.Parts {
		got = append(got, fmt.Sprint(part.Name, "=", part.Value))
	}
	if fine := n.Mode.Fine; fine != nil {
		got = append(got, fmt.Sprintf("fine steps=%d extra=%d label=%s", fine.Steps, fine.Extra, fine.Label))
	} else {
		got = append(got, "fast")
	}
	return nodebus.Text(strings.Join(got, " ")), nil
}
