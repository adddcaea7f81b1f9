package nats_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// must ends a child with an error.
func must(err error) {
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

// process is another process of the test.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	in    io.Closer
}

// start starts another process that uses a directory.
func start(t *testing.T, child, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NATS_CHILD="+child, "NATS_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, lines: bufio.NewScanner(out), in: in}
	t.Cleanup(p.kill)
	return p
}

// line returns the words of the next line; nil at the end.
func (p *process) line(t *testing.T) []string {
	t.Helper()
	if !p.lines.Scan() {
		return nil
	}
	words := strings.Fields(p.lines.Text())
	require.NotEqual(t, "error", words[0], "the other process: %s", p.lines.Text())
	return words
}

// kill ends the process as kill -9 does. It returns the lines that were not read.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for p.lines.Scan() {
	}
	_ = p.cmd.Wait()
}
