package flow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// keyLen is the length of a cache key. A key stands for a node's class, all its
// literals, also those of inputs that the class does not declare, and, through
// the keys of its sources, everything upstream: it takes time linear in nodes
// and edges, and ids do not matter unless a node asks for its own.
const keyLen = sha256.Size

// signer works out the keys of a run's nodes. Keys of nodes that cannot be
// cached, and of those downstream of one, are missing.
type signer struct {
	job   *nodebus.Job
	node  func(i int32) *planNode
	keys  []byte // keyLen bytes a node
	state []keyState
	buf   []byte
}

type keyState uint8

const (
	keyUnknown keyState = iota
	keyOnPath
	keyNone
	keyMade
)

func (s *signer) grow(n int) {
	for len(s.state) < n {
		s.state = append(s.state, make([]keyState, max(n-len(s.state), len(s.state)/2))...)
		s.keys = append(s.keys, make([]byte, len(s.state)*keyLen-len(s.keys))...)
	}
}

// sign works out the key of node i and of all that is upstream. It does not
// recurse.
func (s *signer) sign(i int32) {
	if s.state[i] != keyUnknown {
		return
	}
	path := []step{{node: i}}
	s.state[i] = keyOnPath
	for len(path) > 0 {
		top := &path[len(path)-1]
		n := s.node(top.node)
		if src, more := n.source(top.next); more {
			top.next++
			if src >= 0 && s.state[src] == keyUnknown {
				s.state[src] = keyOnPath
				path = append(path, step{node: src})
			}
			continue
		}
		s.finish(top.node, n)
		path = path[:len(path)-1]
	}
}

// finish makes the key of a node whose sources have theirs.
func (s *signer) finish(i int32, n *planNode) {
	s.state[i] = keyNone
	c := n.class
	if n.args == nil && len(c.inputs) > 0 || !n.sound {
		return
	}
	b := appendBytes(s.buf[:0], c.Name())
	if c.usesID || c.schema.NoCache {
		b = appendBytes(append(b, 'i'), n.id)
	}
	for _, kind := range c.private {
		text := s.job.Prompt.ID
		if kind != "PROMPT_ID" {
			text = s.job.Secrets[kind]
		}
		b = appendBytes(append(b, 'h'), text)
	}
	if c.fingerprints {
		print, err := fingerprint(s.job, n)
		if err != nil {
			return
		}
		b = appendBytes(append(b, 'f'), print)
	}
	var ok bool
	for k := range n.args {
		a := &n.args[k]
		if a.src < 0 && (a.val == absent || c.inputs[k].Kind == Hidden) {
			continue
		}
		if b, ok = s.appendArg(binary.AppendUvarint(append(b, '='), uint64(k)), a); !ok {
			return
		}
	}
	for k := range n.extra {
		a := &n.extra[k]
		if b, ok = s.appendArg(appendBytes(append(b, '+'), a.name), &a.arg); !ok {
			return
		}
	}
	s.buf = b
	sum := sha256.Sum256(b)
	copy(s.keys[int(i)*keyLen:], sum[:])
	s.state[i] = keyMade
}

// appendArg appends what an input is. It is false if that has no key.
func (s *signer) appendArg(b []byte, a *arg) ([]byte, bool) {
	if a.src < 0 {
		return appendLiteral(b, a.val)
	}
	if s.state[a.src] != keyMade {
		return b, false
	}
	b = binary.AppendUvarint(append(b, '['), uint64(a.slot))
	return append(b, s.keys[int(a.src)*keyLen:][:keyLen]...), true
}

func appendBytes(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendLiteral appends a literal so that different ones differ. Values that
// only exist in memory, such as those nodes made at run time are given, have no
// such form.
func appendLiteral(b []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return append(b, 'n'), true
	case bool:
		if v {
			return append(b, 't'), true
		}
		return append(b, 'u'), true
	case int:
		return binary.AppendVarint(append(b, 'd'), int64(v)), true
	case int64:
		return binary.AppendVarint(append(b, 'd'), v), true
	case uint64:
		return binary.AppendUvarint(append(b, 'e'), v), true
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'g'), math.Float64bits(v)), true
	case string:
		return appendBytes(append(b, 's'), v), true
	case value.List:
		b = binary.AppendUvarint(append(b, 'l'), uint64(len(v)))
		for _, e := range v {
			var ok bool
			if b, ok = appendLiteral(b, e); !ok {
				return nil, false
			}
		}
		return b, true
	case []any, map[string]any:
		if !isData(v, 0) {
			return nil, false
		}
		enc, err := json.Marshal(v)
		if err != nil {
			return nil, false
		}
		return appendBytes(append(b, 'j'), string(enc)), true
	}
	if plain, ok := value.Basic(v); ok {
		return appendLiteral(appendBytes(append(b, 'k'), typeName(v)), plain)
	}
	return nil, false
}

// isData reports whether v is what JSON decodes to, all the way down.
func isData(v any, depth int) bool {
	switch v := v.(type) {
	case nil, bool, int, int64, uint64, float64, string, json.Number:
		return true
	case []any:
		for _, e := range v {
			if depth > 1000 || !isData(e, depth+1) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, e := range v {
			if depth > 1000 || !isData(e, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

// fingerprint asks a node for what it depends on beside its inputs.
func fingerprint(job *nodebus.Job, n *planNode) (print string, err error) {
	err = nodebus.Protect(func() error {
		node, err := n.class.sample(job, n)
		if err == nil {
			print, err = node.(nodebus.Fingerprinter).Fingerprint()
		}
		return err
	})
	return print, err
}
