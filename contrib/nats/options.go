package nats

import (
	"log/slog"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

const (
	defaultName = "NODEBUS"
	logMaxBytes = 1 << 30
	logMinBytes = 1 << 20
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
	// Replicas is the number of servers that keep each message: 1, 3 or 5. With 3, one server
	// of the cluster may be lost. With 1 in a cluster, a server that stops takes its streams
	// along until it is back. More than the cluster has servers is an error of Open. It counts
	// when a stream is made; change it later with the command "nats stream edit". Default 1;
	// if the connection knows three servers or more, Open warns the Logger, unless 1 is given.
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
	// no effect. Give the same Retain to [nodebus.NewHub]. The stream remembers the Retain of
	// the process that made it, and all processes use that. Default: see [nodebus.HubOptions].
	Log *nodebus.HubOptions
	// LogBytes is the size, in bytes, at which the stream of the log drops its oldest events,
	// although somebody may want them. Clients then receive a [nodebus.Gap]. Each server that
	// keeps the stream reserves this size: if it has not so much room, Open returns an error. It
	// counts when the stream is made. At least 1 MiB. Default 1 GiB.
	LogBytes int64
	// SecretKey encrypts the secrets of prompts in NATS, with AES-256-GCM. It has 32
	// bytes. Whoever has the key and the stream can read the secrets, so keep the key
	// elsewhere. Without a key, Push refuses prompts that have secrets, and this process
	// takes none. All processes of a bus must have the same key. A key that is lost is no error
	// of Open: delete the prompts that wait for it. Default: nil, no key. An empty key that is
	// not nil is an error of Open: a variable that is not set must not switch secrets off.
	SecretKey []byte
	// KeyFile is the path of a file with the secret key: 32 bytes, or 64 hexadecimal
	// digits. Give either SecretKey or KeyFile. Default: none.
	KeyFile string
	// Logger receives what no caller can be told, for example that NATS is away while
	// events wait. Default: [slog.Default].
	Logger *slog.Logger
}
