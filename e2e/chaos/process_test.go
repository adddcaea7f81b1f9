//go:build e2e

package chaos_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// buildHost compiles the program under test, once for all tests.
var buildHost = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "chaos"); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "host"), "./host").CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

// host returns the path of the program under test.
func host(t *testing.T) string {
	t.Helper()
	dir, err := buildHost()
	require.NoError(t, err)
	return filepath.Join(dir, "host")
}

// removeHost removes the program when all tests have ended.
func removeHost() {
	if dir, _ := buildHost(); dir != "" {
		_ = os.RemoveAll(dir)
	}
}

// server is a place for processes of the program that follow each other.
type server struct {
	program string
	args    []string
	log     *os.File   // what the processes write to stderr
	lost    chan error // capacity 1: how a process has ended that nobody has asked to end

	mu  sync.Mutex
	now *process // the newest process that serves, or has served; the first one also before
}

// process is a process of the program.
type process struct {
	cmd     *exec.Cmd
	ready   chan struct{} // closed when it serves, or has ended
	ended   chan struct{} // closed when it has ended
	asked   atomic.Bool   // to end
	err     error         // how it has ended
	mu      sync.Mutex
	address string // empty: it does not serve
}

func (p *process) at() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

func (p *process) serves(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = address
}

// at returns the address of the newest process; empty if it does not serve.
func (s *server) at() string {
	s.mu.Lock()
	p := s.now
	s.mu.Unlock()
	if p == nil {
		return ""
	}
	return p.at()
}

// launch starts a process, and does not wait until it serves. The one before it serves on
// until it ends.
func (s *server) launch() (*process, error) {
	p := &process{cmd: exec.Command(s.program, s.args...), ready: make(chan struct{}), ended: make(chan struct{})}
	p.cmd.Stderr = s.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.now == nil {
		s.now = p
	}
	s.mu.Unlock()
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if address, ready := strings.CutPrefix(lines.Text(), "ready "); ready {
				p.serves(address)
				s.mu.Lock()
				s.now = p
				s.mu.Unlock()
				close(p.ready)
			}
		}
		_, _ = io.Copy(io.Discard, out)
		p.err = p.cmd.Wait()
		if p.at() == "" {
			close(p.ready)
		} else if !p.asked.Load() {
			select {
			case s.lost <- fmt.Errorf("a process has ended by itself: %w", p.err):
			default:
			}
		}
		p.serves("")
	}()
	return p, nil
}

// start starts a process and waits until it serves.
func (s *server) start() error {
	p, err := s.launch()
	if err != nil {
		return err
	}
	<-p.ready
	if p.at() == "" {
		<-p.ended
		return fmt.Errorf("the program has ended: %w", p.err)
	}
	return nil
}

// kill ends the process with SIGKILL and waits until it is gone.
func (s *server) kill() {
	s.mu.Lock()
	p := s.now
	s.mu.Unlock()
	p.asked.Store(true)
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// drain asks the process to end.
func (s *server) drain() *process {
	s.mu.Lock()
	p := s.now
	s.mu.Unlock()
	p.asked.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p
}

// newServer returns a place for processes that share a folder. The test shows what they
// have logged if it fails.
func newServer(t *testing.T, program, dir string, args ...string) *server {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "stderr"))
	require.NoError(t, err)
	s := &server{program: program, log: log, lost: make(chan error, 1), args: append(args, "-cache", filepath.Join(dir, "cache"))}
	t.Cleanup(func() {
		s.kill()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of what the processes have logged:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	return s
}
