package bolt_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

// long makes the random tests run for minutes.
var long = flag.Bool("long", false, "damage and kill more often")

// children are what another process of the test does. They use the file at path, write
// lines with say, and are killed.
var children = map[string]func(path string, say func(words ...any)){
	"hold":  holdFile,
	"write": writeUntilKilled,
	"full":  fillDisk,
	"ends":  endOnFullDisk,
}

func TestMain(m *testing.M) {
	child := children[os.Getenv("BOLT_CHILD")]
	if child == nil {
		os.Exit(leak.Main(m))
	}
	var mu sync.Mutex
	child(os.Getenv("BOLT_FILE"), func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	})
}

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

// start starts another process that uses a file.
func start(t *testing.T, child, path string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BOLT_CHILD="+child, "BOLT_FILE="+path)
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

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for p.lines.Scan() {
	}
	_ = p.cmd.Wait()
}
