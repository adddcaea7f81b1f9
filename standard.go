package nodebus

import (
	"encoding/json"
	"reflect"
	"strconv"
)

// standard describes the payload types of this package. A new standard payload is a
// type with an EventType in events.go, and one entry here. A Coalescer also needs the
// method key, which indexStandard checks, and a binary payload needs code in binary.go.
var standard = []standardType{
	textType(func(Status, bool) traits { return traits{later: true} }),
	textType(func(p ExecutionStart, _ bool) traits { return traits{promptID: p.PromptID, later: true, step: true} }),
	textType(func(p ExecutionCached, frozen bool) traits {
		return traits{promptID: p.PromptID, later: frozen, step: true}
	}),
	textType(executingTraits),
	textType(progressTraits),
	textType(func(p ProgressState, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	textType(func(p Executed, _ bool) traits {
		return traits{promptID: p.PromptID, later: p.Output == nil, step: true}
	}),
	textType(func(p ExecutionSuccess, _ bool) traits {
		return traits{promptID: p.PromptID, later: true, step: true, outcome: true}
	}),
	textType(func(p ExecutionError, _ bool) traits {
		return traits{promptID: p.PromptID, step: true, outcome: p.ExceptionType != ExecutionBlocked}
	}),
	textType(func(p ExecutionInterrupted, _ bool) traits {
		return traits{promptID: p.PromptID, step: true, outcome: true}
	}),
	textType(func(Gap, bool) traits { return traits{later: true} }),
	textType(func(p Overall, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	textType(func(p Watching, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	extension(func(p NodeFailed, frozen bool) traits { return traits{promptID: p.PromptID, later: frozen} }),
	extension(func(p Waiting, _ bool) traits { return traits{promptID: p.PromptID} }),
	extension(func(p Answered, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	extension(func(p TextPiece, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	textType(func(p TextSoFar, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	extension(func(p NodeDone, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	binaryType(func(p Preview, frozen bool) traits {
		return traits{promptID: p.PromptID, later: frozen, size: p.frameSize()}
	}),
	binaryType(func(p ProgressText, _ bool) traits { return traits{promptID: p.PromptID, later: true} }),
	binaryType(func(Custom, bool) traits { return traits{} }),
}

// traits holds properties of a standard payload that the hub and the codec need. With
// them, they need no reflection and call no foreign code.
type traits struct {
	promptID string // the prompt id in the payload; empty if it has none
	// later is true if the payload may be encoded after Publish has returned: the
	// sender cannot change it any more, and encoding cannot fail.
	later     bool
	step      bool // a step in the life of a prompt: a later state does not replace a state from before it
	outcome   bool // the payload is the outcome of a prompt
	coalesces bool // the payload is a standardCoalescer; set by standardTraits
	extension bool // only clients that ask for the envelope receive it; set by standardTraits
	size      int  // estimate of the frame's bytes; 0: sizeOf computes it
}

// standardType is one payload type of this package.
type standardType struct {
	typ    reflect.Type
	name   string                                 // the event type
	traits func(p Payload, frozen bool) traits    // frozen is [Event].Frozen
	decode func(json.RawMessage) (Payload, error) // nil for a binary payload

	coalesces, extension bool // see traits
}

func textType[P Payload](t func(p P, frozen bool) traits) standardType {
	s := binaryType(t)
	var zero P
	s.name, s.decode = zero.EventType(), decodeAs[P]
	return s
}

// extension is a textType that ComfyUI does not have.
func extension[P Payload](t func(p P, frozen bool) traits) standardType {
	s := textType(t)
	s.extension = true
	return s
}

func binaryType[P Payload](t func(p P, frozen bool) traits) standardType {
	return standardType{
		typ:       reflect.TypeFor[P](),
		traits:    func(p Payload, frozen bool) traits { return t(p.(P), frozen) },
		coalesces: reflect.TypeFor[P]().Implements(reflect.TypeFor[Coalescer]()),
	}
}

// standardByType holds the entries by Go type. standardByName holds the entries of text
// payloads by event type.
var standardByType, standardByName = indexStandard()

func indexStandard() (byType map[reflect.Type]*standardType, byName map[string]*standardType) {
	byType, byName = map[reflect.Type]*standardType{}, map[string]*standardType{}
	for i := range standard {
		s := &standard[i]
		if s.coalesces && !s.typ.Implements(reflect.TypeFor[standardCoalescer]()) {
			panic("nodebus: " + s.typ.String() + " needs a method key")
		}
		byType[s.typ] = s
		if s.decode != nil {
			byName[s.name] = s
		}
	}
	return byType, byName
}

func executingTraits(p Executing, _ bool) traits {
	return traits{promptID: p.PromptID, later: true, step: true, size: p.sizeJSON()}
}

func progressTraits(p Progress, _ bool) traits {
	return traits{promptID: p.PromptID, later: true, coalesces: true, size: p.sizeJSON()}
}

// standardCoalescer is implemented by the payload types of this package that are a
// Coalescer. CoalesceKey returns the text of key.
type standardCoalescer interface {
	Coalescer
	key() coalesceKey
}

// standardTraits returns the traits of p. ok is false for types of other packages. It
// is also false for a type that embeds a standard payload, and for a pointer to a
// standard payload, although both have the methods of the standard payload.
func standardTraits(p Payload, frozen bool) (t traits, ok bool) {
	switch p := p.(type) { // the most frequent types, for speed
	case Executing:
		return executingTraits(p, frozen), true
	case Progress:
		return progressTraits(p, frozen), true
	}
	s := standardByType[reflect.TypeOf(p)]
	if s == nil {
		return traits{}, false
	}
	t = s.traits(p, frozen)
	t.coalesces, t.extension = s.coalesces, s.extension
	if c, custom := p.(Custom); custom {
		t.extension = isExtension(c.Type)
	}
	return t, true
}

// isExtension reports whether only clients that ask for the envelope receive events of
// this type.
func isExtension(typ string) bool {
	s := standardByName[typ]
	return s != nil && s.extension
}

// coalesceKey is the key under which a newer event replaces an older event. Events of
// different types never have equal keys.
type coalesceKey struct{ typ, a, b string }

// pair returns the text of a key with two names. It begins with the length of a, so
// different pairs have different texts.
func (k coalesceKey) pair() string { return strconv.Itoa(len(k.a)) + ":" + k.a + "/" + k.b }

func (s Status) key() coalesceKey        { return coalesceKey{s.EventType(), s.SID, ""} }
func (p Progress) key() coalesceKey      { return coalesceKey{p.EventType(), p.PromptID, p.UniqueID} }
func (p ProgressState) key() coalesceKey { return coalesceKey{p.EventType(), p.PromptID, ""} }
func (p Overall) key() coalesceKey       { return coalesceKey{p.EventType(), p.PromptID, ""} }

// key of a picture differs from the keys of all other pictures and of all previews.
func (p Preview) key() coalesceKey {
	if p.Final == 0 {
		return coalesceKey{p.EventType(), p.PromptID, p.UniqueID}
	}
	number := strconv.Itoa(p.Index) + "." + strconv.Itoa(p.Final) + "/"
	return coalesceKey{pictureKey, p.PromptID, number + p.UniqueID}
}

// pictureKey stands for the event type in the key of a picture.
const pictureKey = "picture"

// CoalesceKey returns the client's id in a greeting, and otherwise "": a newer count
// replaces an older count.
func (s Status) CoalesceKey() string { return s.key().a }

// CoalesceKey returns a key of the ids of the prompt and the node.
func (p Progress) CoalesceKey() string { return p.key().pair() }

// CoalesceKey returns the id of the prompt.
func (p ProgressState) CoalesceKey() string { return p.key().a }

// CoalesceKey returns a key of the ids of the prompt and the node. The key of a picture also
// has its number.
func (p Preview) CoalesceKey() string {
	k := p.key()
	if p.Final != 0 {
		return pictureKey + " " + k.pair()
	}
	return k.pair()
}

// CoalesceKey returns the id of the prompt.
func (p Overall) CoalesceKey() string { return p.key().a }
