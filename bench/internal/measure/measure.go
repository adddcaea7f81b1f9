// Package measure reads what the measurements are made of.
package measure

import (
	"os"
	"strconv"
	"strings"
)

// ProcField is the first number of a line of a file in /proc that begins with
// key; 0 if there is none.
func ProcField(path, key string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}
