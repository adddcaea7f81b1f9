// Package measure reads CPU time and process figures from the operating system.
package measure

import (
	"os"
	"strconv"
	"strings"
)

// ProcField returns the first number in the line of a /proc file that begins with key.
// It returns 0 if there is no such line or no such file.
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
