//go:build e2e

package hosts

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// events reads a stream of Server-Sent Events.
type events struct{ lines *bufio.Scanner }

func newEvents(r io.Reader) *events {
	e := &events{bufio.NewScanner(r)}
	e.lines.Buffer(nil, 1<<20)
	return e
}

// next returns the data of the next event, or an empty text at the end of the stream.
func (e *events) next(t *testing.T) (data string) {
	t.Helper()
	for e.lines.Scan() {
		name, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch {
		case name == "data":
			data = value
		case name == "" && data != "":
			return data
		}
	}
	require.NoError(t, e.lines.Err())
	return ""
}
