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
	// Serve accepts clients on ln. It runs in its own goroutine.
	Serve(ln net.Listener) error
	// Broadcast creates event number seq and sends it as one text message to all
	// clients. Only one goroutine calls it.
	Broadcast(seq int64)
	// Clients returns the number of clients that receive a broadcast now.
	Clients() int
	// Wire returns key, the text in a message directly before the time at which the
	// message was created, in Unix nanoseconds. greetings is the number of messages
	// that each client receives before the first broadcast.
	Wire() (key string, greetings int)
}

// peers returns a constructor for each peer. queue is the number of events that a client
// may lag behind; peers with a fixed limit ignore it.
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

// Kinds returns the sorted names of the peers.
func Kinds() []string { return slices.Sorted(maps.Keys(peers())) }

// promptID is as long as a UUID, like the ids of real prompts.
const promptID = "4f1c2a9e-7b3d-4c55-9a86-0d2e5b7c1f34"

// message returns event number seq for all peers except nodebus: a progress event of about
// 130 bytes with the time, built by appending.
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

// appended is embedded in the peers that send the result of message.
type appended struct{}

// Wire returns the key in the result of message.
func (appended) Wire() (key string, greetings int) { return `"ts":`, 0 }
