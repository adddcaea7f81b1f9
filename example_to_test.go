package nodebus_test

import (
	"encoding/json"
	"fmt"

	"github.com/nodebus/nodebus"
)

// A node that takes values of every type converts them where it needs to.
func ExampleTo() {
	for _, v := range []any{2, uint8(3), 4.0, json.Number("5"), 2.5, "six"} {
		n, err := nodebus.To[int](v)
		fmt.Println(n, err)
	}

	// Decoded JSON becomes a struct.
	type size struct{ W, H int }
	s, err := nodebus.To[size](map[string]any{"W": json.Number("640"), "H": 480})
	fmt.Println(s, err)
	// Output:
	// 2 <nil>
	// 3 <nil>
	// 4 <nil>
	// 5 <nil>
	// 0 nodebus: To: needs a whole number, got the number 2.5
	// 0 nodebus: To: needs a whole number, got the string "six"
	// {640 480} <nil>
}
