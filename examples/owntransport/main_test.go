package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestRun(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(&out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Equal(t, `{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"shell"}}`, lines[0])
	require.Contains(t, out.String(), `"output":{"text":["Hello, world"]}`)
	require.Equal(t, `{"type":"executing","data":{"node":null,"prompt_id":"hello"}}`, lines[len(lines)-1])
}

// TestConform checks the transport against the contract of all transports.
func TestConform(t *testing.T) {
	conform.Transport(t, func(t *testing.T) (nodebus.Transport, conform.Receiver) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		there, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = there.Close() })
		here, err := l.Accept()
		require.NoError(t, err)
		r := bufio.NewReader(there)
		return &ndjson{conn: here}, conform.Receiver{TextOnly: true, Receive: func() (nodebus.Frame, error) {
			line, err := r.ReadBytes('\n')
			return nodebus.Frame{Data: bytes.TrimSuffix(line, []byte("\n"))}, err
		}}
	})
}
