package flow

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"reflect"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// keyLen is the length of a cache key, in bytes. A key identifies the node's class,
// all its literals (also of undeclared inputs), and, through the keys of its
// sources, all upstream nodes. Computing all keys takes time linear in nodes and
// links. The node's id is part of the key only if the node asks for it.
//
// A key is the SHA-256 hash of a sequence of parts:
//
//   - the name of the class;
//   - 'i' and the node's id;
//   - 'h' and each secret or prompt id that the node receives;
//   - 'f' and the fingerprint;
//   - '=', the number of a declared input, and the input;
//   - '+', the name of an undeclared input, and the input; for a class with dynamic inputs,
//     all inputs, sorted by name;
//   - 'o' and the names of the inputs in a rest field, in their order.
//
// An input is '[' with the slot and the key of its source, or a literal; see
// [value.AppendKey].
const keyLen = sha256.Size

// keys computes the cache keys of a run's nodes. A node that cannot be cached has no
// key, and neither has any node downstream of it.
type keys struct {
	r *run // callers must not hold run.mu, because keys may lock it

	// These fields hold the keys of the prompt's nodes. signPrompt sets them before any
	// other use; they do not change afterwards.
	base  []byte // keyLen bytes for each node
	text  string // the same as base
	state []keyState

	mu   sync.Mutex
	made map[int32]string // of nodes made at run time; "" for a node without a key
}

type keyState uint8

const (
	keyUnknown keyState = iota
	keyOnPath
	keyNone
	keyMade
)

func (k *keys) planNode(i int32) *planNode { return k.r.node(i).plan }

// signPrompt computes the keys of the prompt's nodes.
func (k *keys) signPrompt() {
	n := len(k.r.job.Prompt.Nodes)
	k.base, k.state = make([]byte, n*keyLen), make([]keyState, n)
	var buf []byte
	walk := walker{node: k.planNode}
	meet := func(_ *pathStep, to int32) bool {
		if k.state[to] != keyUnknown {
			return false
		}
		k.state[to] = keyOnPath
		return true
	}
	leave := func(i int32, _ *pathStep) {
		k.state[i] = keyNone
		var ok bool
		if buf, ok = k.append(buf[:0], k.planNode(i)); ok {
			sum := sha256.Sum256(buf)
			copy(k.base[int(i)*keyLen:], sum[:])
			k.state[i] = keyMade
		}
	}
	for i := range int32(n) {
		walk.up(i, meet, leave)
	}
	k.text = string(k.base)
}

// of returns the key of node i; "" if it has none. It may call the Fingerprint of
// nodes made at run time. Two calls may do this for the same node at the same time;
// the first result counts.
func (k *keys) of(i int32) string {
	if key, known := k.known(i); known {
		return key
	}
	met := map[int32]bool{}
	walk := walker{node: k.planNode}
	walk.up(i, func(_ *pathStep, to int32) bool {
		if _, known := k.known(to); known || met[to] {
			return false
		}
		met[to] = true
		return true
	}, func(i int32, _ *pathStep) {
		key := ""
		if b, ok := k.append(nil, k.planNode(i)); ok {
			sum := sha256.Sum256(b)
			key = string(sum[:])
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if _, known := k.made[i]; !known {
			if k.made == nil {
				k.made = map[int32]string{}
			}
			k.made[i] = key
		}
	})
	key, _ := k.known(i)
	return key
}

// known returns the key of node i if it is computed already.
func (k *keys) known(i int32) (key string, ok bool) {
	if int(i) < len(k.state) {
		if k.state[i] != keyMade {
			return "", true
		}
		return k.text[int(i)*keyLen:][:keyLen], true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok = k.made[i]
	return key, ok
}

// append appends the parts of a node's key. The keys of its sources must be known.
// ok is false if the node has no key. No lock is held, because Fingerprint is
// foreign code.
func (k *keys) append(b []byte, n *planNode) (_ []byte, ok bool) {
	c := n.class
	if n.args == nil && len(n.ports) > 0 || !n.sound {
		return b, false
	}
	b = value.AppendText(b, c.Name())
	if c.usesID || c.schema.NoCache {
		b = value.AppendText(append(b, 'i'), n.id)
	}
	for _, kind := range c.private {
		text := k.r.job.Prompt.ID
		if kind != "PROMPT_ID" {
			text = k.r.job.Secrets[kind]
		}
		b = value.AppendText(append(b, 'h'), text)
	}
	if c.fingerprints {
		print, err := k.fingerprint(n)
		if err != nil {
			return b, false
		}
		b = value.AppendText(append(b, 'f'), print)
	}
	if c.dynamic {
		return k.appendLive(b, n)
	}
	for i := range n.args {
		a := &n.args[i]
		if a.src < 0 && (a.val == notGiven || n.ports[i].isSet()) {
			continue
		}
		b = binary.AppendUvarint(append(b, '='), uint64(i))
		room := len(b)
		if b, ok = k.appendArg(b, a); ok {
			continue
		}
		if b, ok = k.appendSubmitted(b[:room], n, n.ports[i].Name); !ok || a.src >= 0 {
			return b, false
		}
	}
	for i := range n.extra {
		a := &n.extra[i]
		if b, ok = k.appendArg(value.AppendText(append(b, '+'), a.name), &a.arg); !ok {
			return b, false
		}
	}
	return b, true
}

// appendLive appends the inputs of a node of a class with dynamic inputs to its key: the inputs
// that it was given and the defaults of others, sorted by name. Where a node can see the order
// of its inputs, the order is part of the key.
func (k *keys) appendLive(b []byte, n *planNode) (_ []byte, ok bool) {
	all := slices.Clone(n.extra)
	for i := range n.args {
		a, f := &n.args[i], &n.ports[i]
		if a.src < 0 && (a.val == notGiven || f.isSet()) {
			continue
		}
		all = append(all, extraArg{f.Name, *a})
		if f.parent != nil && f.parent.Rest && f.parent.elem.Kind() != reflect.Map {
			b = value.AppendText(append(b, 'o'), f.Name)
		}
	}
	slices.SortFunc(all, func(a, b extraArg) int { return cmp.Compare(a.name, b.name) })
	b = binary.AppendUvarint(append(b, '+'), uint64(len(all)))
	for i := range all {
		b = value.AppendText(b, all[i].name)
		room := len(b)
		if b, ok = k.appendArg(b, &all[i].arg); ok {
			continue
		}
		if b, ok = k.appendSubmitted(b[:room], n, all[i].name); !ok || all[i].src >= 0 {
			return b, false
		}
	}
	return b, true
}

// appendArg appends an input. ok is false if the input cannot be part of a key.
func (k *keys) appendArg(b []byte, a *arg) (_ []byte, ok bool) {
	if a.src < 0 {
		return value.AppendKey(b, a.val)
	}
	b = binary.AppendUvarint(append(b, '['), uint64(a.slot))
	if int(a.src) < len(k.state) {
		return append(b, k.base[int(a.src)*keyLen:][:keyLen]...), k.state[a.src] == keyMade
	}
	key, _ := k.known(a.src)
	return append(b, key...), key != ""
}

// appendSubmitted appends the literal as the prompt has it, because its value in Go has no
// form for a key: for example a struct. A literal that is not there is the default of the class.
func (k *keys) appendSubmitted(b []byte, n *planNode, name string) (_ []byte, ok bool) {
	at, submitted := k.r.plan.byID[n.id]
	if n.made != nil || !submitted {
		return b, false
	}
	return value.AppendKey(append(b, 'r'), value.Unwrap(k.r.plan.specs[at].Inputs[name]))
}

// fingerprint calls the method Fingerprint of a node.
func (k *keys) fingerprint(n *planNode) (print string, err error) {
	ctx := n.sampleContext(k.r.ctx, nodebus.CallInfo{Job: k.r.job, Logger: k.r.local.opts.Logger})
	defer ctx.End()
	err = nodebus.Protect(func() (err error) {
		print, err = n.class.code.fingerprint(ctx, n.ports, n.sampleArgs())
		return err
	})
	return print, err
}
