package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// process is a worker process. It runs one prompt at a time.
type process struct {
	cmd  *exec.Cmd
	in   io.Closer
	from *json.Decoder

	mu   sync.Mutex
	to   *json.Encoder
	kill *time.Timer // runs once the process was told to cancel
}

// hire returns a worker that has nothing to do, or starts a new one.
func (x *remote) hire() (*process, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.idle); n > 0 {
		w := x.idle[n-1]
		x.idle = x.idle[:n-1]
		return w, nil
	}
	cmd := x.command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, from: json.NewDecoder(out), to: json.NewEncoder(in)}, cmd.Start()
}

// Close ends the workers.
func (x *remote) Close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range x.idle {
		_ = w.in.Close()
		_ = w.cmd.Wait()
	}
	x.idle = nil
}

func (w *process) send(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.to.Encode(m) // receive returns the error of a process that has died
}

// receive waits for a message. An error means that the process has ended.
func (w *process) receive() (m message, err error) {
	if w.from.Decode(&m) == nil {
		return m, nil
	}
	_ = w.in.Close()
	_ = w.cmd.Wait()
	return m, fmt.Errorf("the worker process has ended: %v", w.cmd.ProcessState)
}

// cancel ends the nodes that run, and after three seconds the process, if a node does
// not end.
func (w *process) cancel() {
	w.send(message{Cancel: true})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kill == nil {
		w.kill = time.AfterFunc(3*time.Second, func() { _ = w.cmd.Process.Kill() })
	}
}

// rest reports whether the process goes on living.
func (w *process) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	alive := w.cmd.ProcessState == nil && (w.kill == nil || w.kill.Stop())
	w.kill = nil
	return alive
}
