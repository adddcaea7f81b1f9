package nodebus

import (
	"encoding/json"
	"reflect"
	"strconv"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// A new standard payload needs: its type and its EventType in events.go; in this file a
// method traits, a method key if it is a Coalescer, and an entry in textPayloads if it
// is sent as a text frame; and a section in docs/wire.md. A binary payload also needs
// code in binary.go.

// textPayloads holds the decoder for the data of a text frame, by event type.
var textPayloads = map[string]func(json.RawMessage) (Payload, error){
	Status{}.EventType():               decodeAs[Status],
	ExecutionStart{}.EventType():       decodeAs[ExecutionStart],
	ExecutionCached{}.EventType():      decodeAs[ExecutionCached],
	Executing{}.EventType():            decodeAs[Executing],
	Progress{}.EventType():             decodeAs[Progress],
	ProgressState{}.EventType():        decodeAs[ProgressState],
	Executed{}.EventType():             decodeAs[Executed],
	ExecutionSuccess{}.EventType():     decodeAs[ExecutionSuccess],
	ExecutionError{}.EventType():       decodeAs[ExecutionError],
	ExecutionInterrupted{}.EventType(): decodeAs[ExecutionInterrupted],
	Gap{}.EventType():                  decodeAs[Gap],
	Overall{}.EventType():              decodeAs[Overall],
}

// traits holds properties of a standard payload that the hub and the codec need. With
// them, they need no reflection and call no foreign code.
type traits struct {
	promptID string // the prompt id in the payload; empty if it has none
	// later is true if the payload may be encoded after Publish has returned: the
	// sender cannot change it any more, and encoding cannot fail.
	later     bool
	coalesces bool // the payload is a standardCoalescer
	size      int  // estimate of the frame's bytes; 0: sizeOf computes it
}

// standardPayload is implemented by the payload types of this package. frozen is
// [Event].Frozen.
type standardPayload interface {
	Payload
	traits(frozen bool) traits
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
		return p.traits(frozen), true
	case Progress:
		return p.traits(frozen), true
	}
	if s, ok := p.(standardPayload); ok && reflect.TypeOf(p).PkgPath() == ownPath {
		return s.traits(frozen), true
	}
	return traits{}, false
}

var ownPath = reflect.TypeFor[Custom]().PkgPath()

func (Status) traits(bool) traits           { return traits{"", true, true, 0} }
func (e ExecutionStart) traits(bool) traits { return traits{e.PromptID, true, false, 0} }
func (e ExecutionCached) traits(frozen bool) traits {
	return traits{e.PromptID, frozen, false, 0}
}
func (e Executing) traits(bool) traits { return traits{e.PromptID, true, false, e.sizeJSON()} }
func (p Progress) traits(bool) traits {
	return traits{p.PromptID, jsonenc.Finite(p.Value, p.Max), true, p.sizeJSON()}
}

func (p ProgressState) traits(bool) traits {
	return traits{p.PromptID, p.finite(), true, 0}
}
func (e Executed) traits(bool) traits { return traits{e.PromptID, e.Output == nil, false, 0} }
func (e ExecutionSuccess) traits(bool) traits {
	return traits{e.PromptID, true, false, 0}
}

func (e ExecutionError) traits(bool) traits {
	return traits{e.PromptID, false, false, 0}
}

func (e ExecutionInterrupted) traits(bool) traits {
	return traits{e.PromptID, false, false, 0}
}

func (p Preview) traits(frozen bool) traits {
	return traits{p.PromptID, frozen, true, p.frameSize()}
}
func (t ProgressText) traits(bool) traits { return traits{t.PromptID, true, false, 0} }
func (Gap) traits(bool) traits            { return traits{"", true, false, 0} }
func (p Overall) traits(bool) traits      { return traits{p.PromptID, false, true, 0} }
func (Custom) traits(bool) traits         { return traits{"", false, false, 0} }

// finite reports whether all numbers are finite, so that JSON can represent them.
func (p ProgressState) finite() bool {
	for i := range p.list { // a tracker accepts only finite numbers
		if !jsonenc.Finite(p.list[i].Value, p.list[i].Max) {
			return false
		}
	}
	return true
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
func (p Preview) key() coalesceKey       { return coalesceKey{p.EventType(), p.PromptID, p.UniqueID} }
func (p Overall) key() coalesceKey       { return coalesceKey{p.EventType(), p.PromptID, ""} }

// CoalesceKey returns the client's id in a greeting, and otherwise "": a newer count
// replaces an older count.
func (s Status) CoalesceKey() string { return s.key().a }

// CoalesceKey returns a key of the ids of the prompt and the node.
func (p Progress) CoalesceKey() string { return p.key().pair() }

// CoalesceKey returns the id of the prompt.
func (p ProgressState) CoalesceKey() string { return p.key().a }

// CoalesceKey returns a key of the ids of the prompt and the node.
func (p Preview) CoalesceKey() string { return p.key().pair() }

// CoalesceKey returns the id of the prompt.
func (p Overall) CoalesceKey() string { return p.key().a }
