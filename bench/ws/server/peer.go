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
	// Wire describes what the clients send and receive.
	Wire() Wire
}

// Sender is a peer that can also send an event to one client. Such a peer publishes
// addressed events only: the clients take turns.
type Sender interface {
	Peer
	// Send creates event number seq and sends it to client number n, from 0. Only one
	// goroutine calls it.
	Send(n int, seq int64)
}

// Keeper is a peer that keeps events for clients that come back with a cursor.
type Keeper interface {
	Peer
	// Keep publishes prompts. Each has this number of events and an end. Prompt
	// number i is addressed to client i modulo clients.
	Keep(prompts, events, clients int)
}

// Wire describes the messages of a peer.
type Wire struct {
	Key       string // the text directly before the creation time of an event, in Unix nanoseconds
	Greetings int    // the number of messages that a client receives before the first event
	Path      string // what a client requests; %d stands for the number of the client
	First     string // the text message that a client sends first; none if empty
	Lines     bool   // a message may hold several events, one in each line
	Stream    bool   // the response is a text/event-stream, and no WebSocket
	Each      bool   // each event is for one client; the peer is a Sender
	Cursor    string // the text directly before the cursor of an event; empty if events have none
	Since     string // what a client that wants cursors appends to its query the first time
}

// peers returns a constructor for each peer. queue is the number of events that a client
// may lag behind; peers with a fixed limit ignore it.
func peers() map[string]func(queue int) Peer {
	return map[string]func(queue int) Peer{
		"nodebus":         func(int) Peer { return newNodebus(executing, nil) },
		"nodebus-watch":   func(int) Peer { return newNodebus(watched, watching()) },
		"nodebus-struct":  func(int) Peer { return newNodebus(own, nil) },
		"nodebus-pump":    func(int) Peer { return pumped{newNodebus(executing, nil)} },
		"nodebus-each":    func(int) Peer { return newAddressed() },
		"nodebus-sse":     func(int) Peer { return newNodebusSSE() },
		"nodebus-log":     func(int) Peer { return &kept{nodebusPeer: newNodebus(executing, nil)} },
		"coder":           func(queue int) Peer { return newCoder(queue, false) },
		"coder-batch":     func(queue int) Peer { return newCoder(queue, true) },
		"frames":          func(queue int) Peer { return newFrames(queue) },
		"shard":           func(queue int) Peer { return newShards(queue) },
		"gws":             func(int) Peer { return newGWS() },
		"melody":          func(queue int) Peer { return newMelody(queue) },
		"centrifuge":      func(int) Peer { return newCentrifuge() },
		"centrifuge-each": func(int) Peer { return newCentrifugeEach() },
		"centrifuge-sse":  func(int) Peer { return centrifugeSSE{newCentrifuge()} },
		"raw-shard":       func(int) Peer { return newRaw(false) },
		"raw-pump":        func(int) Peer { return newRaw(true) },
		"raw-sse":         func(int) Peer { return newRawSSE() },
		"raw-log":         func(int) Peer { return newRawLog() },
		"raw-each":        func(int) Peer { return newRawEach() },
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
func (appended) Wire() Wire { return Wire{Key: `"ts":`, Path: "/ws"} }
