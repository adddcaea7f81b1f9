package flow

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// keyLen is the length of a cache key. A key stands for a node's class, all its
// literals, also those of inputs that the class does not declare, and, through
// the keys of its sources, everything upstream: it takes time linear in nodes
// and edges, and ids do not matter unless a node asks for its own.
//
// What is hashed is a sequence of parts: the name of the class; 'i' and the node's id;
// 'h' and each secret or prompt id that the node receives; 'f' and the fingerprint; '='
// and the number of an input that the class declares, with the input; '+' and the name
// of an input that it does not declare, with the input. An input is '[' with the slot
// and the key of its source, or a literal; see [value.AppendKey].
const keyLen = sha256.Size

// keys works out the cache keys of a run's nodes. Nodes that cannot be cached, and all
// nodes downstream of such a node, have no key.
type keys struct {
	r *run // its lock may be taken, but is not held by who calls

	// The keys of the prompt's nodes. signPrompt makes them, before anything else uses
	// them; they do not change afterwards.
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

// signPrompt works out the keys of the prompt's nodes.
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

// of returns the key of node i; "" if it has none. It may call the Fingerprint of nodes
// made at run time, also of nodes that another call works out at the same moment: then
// the first answer counts.
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

// known returns the key of a node whose key was worked out.
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

// append appends what the key of a node is made from, given the keys of its sources. ok
// is false if the node has no key. No lock is held: Fingerprint is foreign code.
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

// appendArg appends an input; ok is false if the input cannot be part of a key.
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

// lookUp finds the nodes of the prompt whose results are cached. Until begin has
// scheduled the first node, nothing else uses the nodes.
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

// fits reports whether a cached result has the shape of the class: a cache may be
// older than the program.
func fits(res Result, c *Class) bool { return len(res.Outputs) == len(c.outputs) }

// claim makes w the worker that computes the node's result, unless the result is known.
// If an equal node computes it, the node waits for that, and later is true. It fails if
// the run has ended while the key was worked out.
func (w *worker) claim() (later bool, err error) {
	r := w.r
	if r.local.cache == nil {
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

// reopen is called when the key that node i waits for was released.
func (r *run) reopen(i int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sched.deferred--
	r.sched.Open(i)
	r.startWorkers()
	r.settle()
}
