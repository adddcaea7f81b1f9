package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/nodebus/nodebus"
)

// message is a line on the pipe.
type message struct {
	// The host sends one of these.
	Begin *nodebus.Job   `json:"begin,omitempty"` // the prompt, its secrets and the attempt
	Call  *nodebus.Place `json:"call,omitempty"`  // call this node: its inputs are ready
	Ready string         `json:"ready,omitempty"` // all inputs of this node are ready

	// The worker sends the rest. The node has run if Steps, Frame and Need are not set.
	Node     string         `json:"node,omitempty"`
	Steps    *steps         `json:"steps,omitempty"` // how far the node is
	Frame    *nodebus.Frame `json:"frame,omitempty"` // the node sends this message
	Everyone bool           `json:"everyone,omitempty"`
	Need     string         `json:"need,omitempty"` // the node waits for another node
	Made     nodebus.Nodes  `json:"made,omitempty"` // nodes that the node has made, with their links
	UI       nodebus.UI     `json:"ui,omitempty"`
	Error    *failure       `json:"error,omitempty"`
}

// steps is a progress report of a node.
type steps struct{ Value, Max float64 }

// failure is an error on its way through the pipe.
type failure struct {
	Text, Type  string
	Interrupted bool
}

func (f *failure) Error() string         { return f.Text }
func (f *failure) ExceptionType() string { return f.Type }
func (f *failure) Is(target error) bool  { return f.Interrupted && target == nodebus.ErrInterrupted }

// process is a worker process, as the host sees it.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.Reader
	to   *json.Encoder
	from *json.Decoder
}

func start(cmd *exec.Cmd) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd, in, out, json.NewEncoder(in), json.NewDecoder(out)}, cmd.Start()
}

// send sends a message. If the process has died, receive returns the error.
func (p *process) send(m message) { _ = p.to.Encode(m) }

// receive waits for a message.
func (p *process) receive() (m message, err error) {
	if p.from.Decode(&m) == nil {
		return m, nil
	}
	p.end()
	return m, fmt.Errorf("the worker process has ended: %v", p.cmd.ProcessState)
}

// cancel closes the pipe. The process then ends its nodes and itself. It is killed if it
// takes longer than three seconds.
func (p *process) cancel() {
	_ = p.in.Close()
	time.AfterFunc(3*time.Second, func() { _ = p.cmd.Process.Kill() })
}

// end waits until the process has ended, and with it all that still runs.
func (p *process) end() {
	p.cancel()
	_, _ = io.Copy(io.Discard, p.out)
	_ = p.cmd.Wait()
}
