package client_test

import (
	"fmt"
	"slices"
	"strings"
)

// work runs the prompts of the queue until it is empty.
func (s *comfyUI) work() {
	s.mu.Lock()
	for len(s.queue) > 0 {
		q := s.queue[0]
		s.status()
		s.mu.Unlock()
		s.run(q)
		s.mu.Lock()
		if len(s.queue) > 0 && s.queue[0] == q {
			s.queue = s.queue[1:]
		}
	}
	s.running = false
	s.changed.Broadcast()
	s.mu.Unlock()
}

// say sends a message to the client of a prompt.
func (s *comfyUI) say(q *queued, typ, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn := s.sockets[q.client]; conn != nil {
		s.write(conn, typ, fmt.Sprintf(format, args...))
	}
}

// run runs a prompt, stores its record, and closes it.
func (s *comfyUI) run(q *queued) {
	messages := []string{}
	tell := func(typ, format string, args ...any) {
		data := fmt.Sprintf(format, args...)
		messages = append(messages, fmt.Sprintf(`[%q,%s]`, typ, data))
		s.say(q, typ, "%s", data)
	}
	tell("execution_start", `{"prompt_id":%q,"timestamp":1767225600123}`, q.id)
	tell("execution_cached", `{"nodes":[],"prompt_id":%q,"timestamp":1767225600124}`, q.id)
	ids := []string{}
	for id := range q.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	outputs, meta, end := []string{}, []string{}, "success"
	for _, id := range ids {
		n := q.nodes[id]
		if n.Class == "Bad" {
			continue
		}
		s.say(q, "progress_state", `{"prompt_id":%q,"nodes":{%q:{"value":0.0,"max":1.0,"state":"running","node_id":%q,"prompt_id":%q,"display_node_id":%q,"parent_node_id":null,"real_node_id":%q}}}`, q.id, id, id, q.id, id, id)
		s.say(q, "executing", `{"node":%q,"display_node":%q,"prompt_id":%q}`, id, id, q.id)
		if n.Class == "Rest" {
			select {
			case <-q.woken:
			case <-q.interrupt:
				tell("execution_interrupted", `{"prompt_id":%q,"node_id":%q,"node_type":"Rest","executed":[],"timestamp":1767225600200}`, q.id, id)
				end = "error"
			}
		}
		if n.Class == "Fail" {
			tell("execution_error", `{"prompt_id":%q,"node_id":%q,"node_type":"Fail","executed":[],"exception_message":"boom\n","exception_type":"ValueError","traceback":["(removed)"],"current_inputs":{"value":[NaN]},"current_outputs":[],"timestamp":1767225600200}`, q.id, id)
			end = "error"
		}
		if end == "error" {
			break
		}
		s.say(q, "executed", `{"node":%q,"display_node":%q,"output":{"text":[%q]},"prompt_id":%q}`, id, id, n.Inputs.Text, q.id)
		outputs = append(outputs, fmt.Sprintf(`%q:{"text":[%q]}`, id, n.Inputs.Text))
		meta = append(meta, fmt.Sprintf(`%q:{"node_id":%q,"display_node":%q,"parent_node":null,"real_node_id":%q}`, id, id, id, id))
	}
	if end == "success" {
		tell("execution_success", `{"prompt_id":%q,"timestamp":1767225600300}`, q.id)
	}
	s.mu.Lock()
	if len(s.queue) == 0 || s.queue[0] != q { // the server was restarted
		s.mu.Unlock()
		return
	}
	s.records[q.id] = fmt.Sprintf(`{"prompt":[%g,%q,%s,{"client_id":%q},["1"]],"outputs":{%s},"status":{"status_str":%q,"completed":%t,"messages":[%s]},"meta":{%s}}`,
		q.number, q.id, q.graph, q.client, strings.Join(outputs, ","), end, end == "success", strings.Join(messages, ","), strings.Join(meta, ","))
	s.history = append(s.history, q.id)
	s.queue = s.queue[1:]
	s.status()
	s.mu.Unlock()
	s.say(q, "executing", `{"node":null,"prompt_id":%q}`, q.id)
}

// wake ends the Rest nodes of a prompt.
func (s *comfyUI) wake(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queue {
		if q.id == id {
			close(q.woken)
			return
		}
	}
	s.t.Errorf("no prompt %s", id)
}

// settle waits until no prompt runs.
func (s *comfyUI) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running {
		s.changed.Wait()
	}
}
