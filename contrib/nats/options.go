package nats

import (
	"log/slog"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

const (
	defaultName = "NODEBUS"
	logMaxBytes = 1 << 30
)

// Options configures [Open]. The zero value and nil select the defaults. All processes that
// share a bus should have the same options, Node excepted.
type Options struct {
	// Name names the bus. Its streams are Name_LOG, Name_QUEUE, Name_STORE and
	// Name_SIGNALS, and their subjects begin with these names. Letters, digits, - and _.
	// Default "NODEBUS".
	Name string
	// Node names this process among those that share the bus. The name must be unique, and
	// must stay the same when the process starts again: Open then knows that the leases of
	// the process before are over, and ends them at once. If two processes that run have the
	// same Node, each ends the leases of the other. Default: none; such leases lapse after
	// 30 seconds.
	Node string
	// Replicas is the number of servers that keep each message. With 3, one server of the
	// cluster may be lost. It counts when a stream is made; change it later with the
	// command "nats stream edit". Default 1; if the connection knows three servers or more,
	// Open warns the Logger, unless 1 is given.
	Replicas int
	// Queue holds the limits of the queue. Default: see [flow.QueueOptions].
	Queue *flow.QueueOptions
	// Store holds the limits of the store. Bytes and RecordBytes bound the JSON of the
	// records in NATS, not memory. The first Put with lower limits than before drops the
	// oldest records. Default: see [flow.StoreOptions].
	Store *flow.StoreOptions
	// Signals holds the limits of the signals. Signals that NATS has already are kept, also
	// if they exceed the limits. Default: see [flow.SignalsOptions].
	Signals *flow.SignalsOptions
	// Log holds the limits of the log: Retain, KeepLen and KeepBytes. They limit the events
	// in the memory of each process; the stream keeps somewhat more. The other fields have
	// no effect. Give the same Retain to [nodebus.NewHub]. The stream remembers Retain of the
	// process that made it, and the others use that. Default: see [nodebus.HubOptions].
	Log *nodebus.HubOptions
	// LogBytes is the size at which the stream of the log drops its oldest events, although
	// somebody may want them. Clients then receive a [nodebus.Gap]. It counts when the stream is
	// made. Default 1 GiB.
	LogBytes int64
	// SecretKey encrypts the secrets of prompts in NATS, with AES-256-GCM. It has 32
	// bytes. Whoever has the key and the stream can read the secrets, so keep the key
	// elsewhere. Without a key, Push refuses prompts that have secrets, and this process
	// takes none. All processes of a bus must have the same key. Default: none.
	SecretKey []byte
	// KeyFile is the path of a file with the secret key: 32 bytes, or 64 hexadecimal
	// digits. Give either SecretKey or KeyFile. Default: none.
	KeyFile string
	// Logger receives what no caller can be told, for example that NATS is away while
	// events wait. Default: [slog.Default].
	Logger *slog.Logger
}
