package main

import (
	"encoding/json"
	"errors"
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
	Reply *reply         `json:"reply,omitempty"` // the answer to a question of a node

	// The worker sends the rest. The node has run if Steps, Frame, Ask and Need are not set.
	Node     string           `json:"node,omitempty"`
	Steps    *steps           `json:"steps,omitempty"` // how far the node is
	Frame    *nodebus.Frame   `json:"frame,omitempty"` // the node sends this message
	Everyone bool             `json:"everyone,omitempty"`
	Ask      *nodebus.Waiting `json:"ask,omitempty"`  // the node asks clients, and waits
	Need     string           `json:"need,omitempty"` // the node waits for another node
	Made     nodebus.Nodes    `json:"made,omitempty"` // nodes that the node has made, with their links
	UI       nodebus.UI       `json:"ui,omitempty"`
	Error    *failure         `json:"error,omitempty"`
}

// steps is a progress report of a node.
type steps struct{ Value, Max float64 }

// reply is the answer to a question of a node, or why there is none.
type reply struct {
	Node    string
	Answer  json.RawMessage
	Refused *string // the reason
	Error   string
	Expired bool
}

func replyOf(node string, answer json.RawMessage, err error) *reply {
	p := &reply{Node: node, Answer: answer, Expired: errors.Is(err, nodebus.ErrExpired)}
	var refused *nodebus.RefusedError
	if errors.As(err, &refused) {
		p.Refused = &refused.Reason
	} else if err != nil {
		p.Error = err.Error()
	}
	return p
}

func (p *reply) result() (json.RawMessage, error) {
	switch {
	case p.Refused != nil:
		return nil, &nodebus.RefusedError{Reason: *p.Refused}
	case p.Expired:
		return nil, nodebus.ErrExpired
	case p.Error != "":
		return nil, errors.New(p.Error)
	}
	return p.Answer, nil
}

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
