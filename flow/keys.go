package flow

import (
	"crypto/sha256"
	"encoding/binary"
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
//   - '+', the name of an undeclared input, and the input.
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
	if n.args == nil && len(c.inputs) > 0 || !n.sound {
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
		print, err := fingerprint(k.r.job, n)
		if err != nil {
			return b, false
		}
		b = value.AppendText(append(b, 'f'), print)
	}
	for i := range n.args {
		a := &n.args[i]
		if a.src < 0 && (a.val == notGiven || c.inputs[i].Kind == PortHidden) {
			continue
		}
		if b, ok = k.appendArg(binary.AppendUvarint(append(b, '='), uint64(i)), a); !ok {
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

// fingerprint calls the method Fingerprint of a node.
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

// lookUp finds the nodes of the prompt that have cached results. It needs no lock:
// nothing else uses the nodes until begin schedules the first node.
func (r *run) lookUp() (cached []string) {
	cached = []string{}
	cache, recent := r.local.cache, r.local.recent
	if cache == nil {
		return cached
	}
	var generation uint64
	if recent != nil {
		generation = recent.nextPrompt()
	}
	r.keys.signPrompt()
	for i := range r.graph.base {
		n := &r.graph.base[i]
		key := r.keys.of(int32(i))
		if key == "" {
			continue
		}
		if res, ok := cache.Get(key); ok && fits(res, n.plan.class) {
			n.state, n.outs, n.ui = nodeCached, res.Outputs, res.UI
			if len(cached) == 0 {
				cached = make([]string, 0, len(r.graph.base)-i)
			}
			cached = append(cached, n.plan.id)
		}
	}
	if recent != nil {
		recent.sweep(generation)
	}
	return cached
}

// fits reports whether a cached result has as many outputs as the class. A
// persistent cache may be older than the program.
func fits(res Result, c *Class) bool { return len(res.Outputs) == len(c.outputs) }

// claim makes w the worker that computes the node's result, unless the result is
// cached. If an equal node is computing the result, later is true: this node waits
// for it. claim returns an error if the run ended in the meantime.
func (w *worker) claim() (later bool, err error) {
	r := w.r
	if r.local.cache == nil || r.dependsOnAnswer(w.n) {
		return false, nil
	}
	key := r.keys.of(w.i)
	if key == "" {
		return false, nil
	}
	if claimed, err := w.claimKey(key); !claimed {
		return err == nil, err
	}
	if res, ok := r.local.cache.Get(key); ok && fits(res, w.n.plan.class) {
		w.cached, w.outs, w.ui = true, res.Outputs, res.UI
	}
	return false, nil
}

func (w *worker) claimKey(key string) (claimed bool, err error) {
	r := w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sched.over {
		return false, r.sched.err
	}
	w.key = key
	if w.claimed = r.local.claims.claim(key, r, w.i); !w.claimed {
		r.sched.Again(w.i)
		r.sched.deferred++
	}
	return w.claimed, nil
}

// reopen makes node i ready again. It is called when the claim that the node waits
// for is released.
func (r *run) reopen(i int32) {
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	r.sched.deferred--
	r.sched.Open(i)
	r.startWorkers()
	r.settle(&then)
}
