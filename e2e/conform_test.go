//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus/conform"
)

// TestConform runs the suite of clients on js/nodebus.js in Node. Node 20 has the
// WebSocket of browsers behind a flag.
func TestConform(t *testing.T) {
	t.Parallel()
	for transport, claims := range map[string]*conform.ClientClaims{
		"ws":  {Watches: true},
		"sse": {Watches: true, Stream: true, Status: true},
	} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			conform.Client(t, func(ctx context.Context, s conform.ClientStart) (conform.ClientUnderTest, error) {
				return startNode(ctx, transport, s)
			}, claims)
		})
	}
}

// nodeClient is a client in a process of Node.
type nodeClient struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	read   sync.WaitGroup
	events chan conform.ClientEvent
	ended  chan struct{}
	reason error // why the client has ended; set before ended is closed

	mu      sync.Mutex
	watched map[string]chan error
}

func startNode(ctx context.Context, transport string, s conform.ClientStart) (conform.ClientUnderTest, error) {
	options, err := json.Marshal(map[string]any{
		"url": s.URL, "clientId": s.ID, "since": s.Since, "retry": s.Retry.Milliseconds(), "transport": transport,
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", "--no-warnings", "--experimental-websocket", filepath.Join("clients", "conform.mjs"), string(options))
	cmd.Stderr, cmd.WaitDelay = os.Stderr, 5*time.Second
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &nodeClient{
		cmd: cmd, input: input, events: make(chan conform.ClientEvent, 10000), ended: make(chan struct{}),
		watched: map[string]chan error{},
	}
	c.read.Go(func() { c.listen(output) })
	return c, nil
}

// listen reads the lines of the process.
func (c *nodeClient) listen(output io.Reader) {
	defer close(c.ended)
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line struct {
			Event *struct {
				Type     string
				Cursor   string
				PromptID string `json:"prompt_id"`
				Attempt  int
				Time     int64
				Data     json.RawMessage
				Image    []byte
			}
			Watched, Error, Refused string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			c.reason = fmt.Errorf("%w: %.200q", err, lines.Text())
			return
		}
		switch e := line.Event; {
		case e != nil:
			c.events <- conform.ClientEvent{Type: e.Type, Cursor: e.Cursor, PromptID: e.PromptID, Attempt: e.Attempt, Time: e.Time, Data: e.Data, Image: e.Image}
		case line.Refused != "":
			c.reason = errors.New(line.Refused)
			return
		default:
			c.mu.Lock()
			answer := c.watched[line.Watched]
			c.mu.Unlock()
			var err error
			if line.Error != "" {
				err = errors.New(line.Error)
			}
			answer <- err
		}
	}
	c.reason = io.EOF
}

func (c *nodeClient) Next(ctx context.Context) (ev conform.ClientEvent, err error) {
	select {
	case ev = <-c.events:
		return ev, nil
	case <-c.ended:
	case <-ctx.Done():
		return ev, ctx.Err()
	}
	select {
	case ev = <-c.events:
		return ev, nil
	default:
		return ev, c.reason
	}
}

func (c *nodeClient) Watch(ctx context.Context, promptID string) error {
	answer := make(chan error, 1)
	c.mu.Lock()
	c.watched[promptID] = answer
	c.mu.Unlock()
	if _, err := io.WriteString(c.input, promptID+"\n"); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for the end of the process: a client that is closed keeps nothing running.
func (c *nodeClient) Close() error {
	_ = c.input.Close()
	c.read.Wait()
	return c.cmd.Wait()
}
