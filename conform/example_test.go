package conform_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
)

// lines is a transport that writes each event as a line. It drops binary frames, because
// they have no text form.
type lines struct{ to io.WriteCloser }

func (l lines) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		if f.Binary {
			continue
		}
		if _, err := fmt.Fprintf(l.to, "%s\n", f.Data); err != nil {
			return err
		}
	}
	return nil
}

func (l lines) Close(error) error { return l.to.Close() }

// connect returns a transport and the client that receives its frames.
func connect(*testing.T) (nodebus.Transport, conform.Client) {
	there, here := io.Pipe()
	r := bufio.NewReader(there)
	return lines{here}, conform.Client{TextOnly: true, Receive: func() (nodebus.Frame, error) {
		line, err := r.ReadBytes('\n')
		return nodebus.Frame{Data: bytes.TrimSuffix(line, []byte("\n"))}, err
	}}
}

func TestLines(t *testing.T) { conform.Transport(t, connect) }

// The suite is the whole test of a transport. It calls connect once for each subtest.
func ExampleTransport() {
	var t *testing.T // in a real test: the argument of the test function

	conform.Transport(t, connect)
}
