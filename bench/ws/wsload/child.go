//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/nodebus/nodebus/bench/ws/server"
)

// child is a server process.
type child struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan server.Stat // closed when the process has ended
	hello   server.Stat
}

func start(command []string, kind string, queue int) (*child, error) {
	args := append(command[1:len(command):len(command)], "-kind", kind, "-queue", strconv.Itoa(queue))
	c := &child{cmd: exec.Command(command[0], args...), answers: make(chan server.Stat, 1)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in = in
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.answers)
		for dec := json.NewDecoder(out); ; {
			var st server.Stat
			if dec.Decode(&st) != nil {
				return
			}
			c.answers <- st
		}
	}()
	if c.hello, err = c.answer(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// tell sends a command and does not wait for an answer.
func (c *child) tell(format string, args ...any) error {
	_, err := fmt.Fprintf(c.in, format+"\n", args...)
	return err
}

func (c *child) answer() (server.Stat, error) {
	st, ok := <-c.answers
	if !ok {
		return st, fmt.Errorf("the server process has ended; its standard error says why")
	}
	return st, nil
}

// ask sends a command and waits for the answer.
func (c *child) ask(format string, args ...any) (server.Stat, error) {
	if err := c.tell(format, args...); err != nil {
		return server.Stat{}, err
	}
	return c.answer()
}

// stop ends the server. After five seconds it kills the process.
func (c *child) stop() {
	_ = c.tell("quit")
	_ = c.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	for range c.answers {
	}
	_ = c.cmd.Wait()
}
