//go:build linux

package server

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"time"
)

// Peer is a server under test.
type Peer interface {
	// Serve accepts clients on ln. It runs in a goroutine of its own.
	Serve(ln net.Listener) error
	// Broadcast makes event seq and sends it as one text message to all clients.
	// It is called by one goroutine.
	Broadcast(seq int64)
	// Clients is the number of clients that are sent what is broadcast now.
	Clients() int
	// Wire says what stands in a message before the time at which it was made, in
	// Unix nanoseconds. greetings is how many messages each client is sent before
	// what is broadcast.
	Wire() (key string, greetings int)
}

// peers are all that can be measured, each by what makes one. queue is how many
// events a client may lag behind where a peer has to be told.
func peers() map[string]func(queue int) Peer {
	return map[string]func(queue int) Peer{
		"nodebus":        func(int) Peer { return newNodebus(executing, nil) },
		"nodebus-watch":  func(int) Peer { return newNodebus(watched, watching()) },
		"nodebus-struct": func(int) Peer { return newNodebus(own, nil) },
		"nodebus-pump":   func(int) Peer { return pumped{newNodebus(executing, nil)} },
		"coder":          func(queue int) Peer { return newCoder(queue, false) },
		"coder-batch":    func(queue int) Peer { return newCoder(queue, true) },
		"frames":         func(queue int) Peer { return newFrames(queue) },
		"shard":          func(queue int) Peer { return newShards(queue) },
		"gws":            func(int) Peer { return newGWS() },
		"melody":         func(queue int) Peer { return newMelody(queue) },
		"raw-shard":      func(int) Peer { return newRaw(false) },
		"raw-pump":       func(int) Peer { return newRaw(true) },
	}
}

// Kinds are the names of the peers.
func Kinds() []string { return slices.Sorted(maps.Keys(peers())) }

// promptID is as long as a UUID, as those of prompts are.
const promptID = "4f1c2a9e-7b3d-4c55-9a86-0d2e5b7c1f34"

// message is event seq as all peers but nodebus are given it: a progress event
// of about 130 bytes, made by appending, with the time.
func message(seq int64) []byte {
	b := make([]byte, 0, 160)
	b = append(b, `{"type":"progress","data":{"value":`...)
	b = strconv.AppendInt(b, seq%20, 10)
	b = append(b, `,"max":20,"prompt_id":"`+promptID+`","node":"`...)
	b = strconv.AppendInt(b, seq%97, 10)
	b = append(b, `"},"ts":`...)
	b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
	return append(b, '}')
}

// appended is embedded by the peers that send what message makes.
type appended struct{}

// Wire is that of message.
func (appended) Wire() (key string, greetings int) { return `"ts":`, 0 }
