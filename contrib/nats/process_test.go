package nats_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// children are what another process of the test does. They open a bus, write lines with
// say, and are killed.
var children = map[string]func(bus *nats.Bus, say func(words ...any)){}

// child makes this process do what a child does. It returns false if it is no child.
func child() bool {
	does := children[os.Getenv("NATS_CHILD")]
	if does == nil {
		return false
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	must(err)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	bus, err := nats.Open(ctx, nc, &nats.Options{Name: os.Getenv("NATS_BUS"), Node: os.Getenv("NATS_NODE"), Logger: quiet})
	must(err)
	var mu sync.Mutex
	does(bus, func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	})
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	return true
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

// start starts another process that opens a bus.
func start(t *testing.T, child, url, bus, node string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NATS_CHILD="+child, "NATS_URL="+url, "NATS_BUS="+bus, "NATS_NODE="+node)
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

// freePort returns a port that nobody uses.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serve starts a server that listens at a port of this machine.
func serve(t *testing.T, dir string, port int) *embed.Server {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	s, err := embed.Start(ctx, &embed.Options{Dir: dir, Unsynced: true, Logger: quiet, Tune: func(o *server.Options) {
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", port
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}
