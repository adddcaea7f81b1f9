package bolt

import (
	"log/slog"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// lockTimeout is the default of Options.LockTimeout.
const lockTimeout = time.Second

// Options configures [Open]. The zero value and nil select the defaults.
type Options struct {
	// LockTimeout is the time that Open waits for another process to close the file. After a
	// deployment the old process may need some seconds. Open then returns [ErrInUse]. If it
	// waits for longer than 1 s, it tells the Logger once. Default 1 s; less than 0: Open does
	// not wait.
	LockTimeout time.Duration
	// Queue holds the limits of the queue. Prompts that the file has already are kept, also
	// if they exceed the limits. Default: see [flow.QueueOptions].
	Queue *flow.QueueOptions
	// Store holds the limits of the store. Bytes and RecordBytes bound the JSON of the
	// records in the file, not memory. The first Put with lower limits than before drops the
	// oldest records. Default: see [flow.StoreOptions].
	Store *flow.StoreOptions
	// Signals holds the limits of the signals. Signals that the file has already are kept,
	// also if they exceed the limits. Default: see [flow.SignalsOptions].
	Signals *flow.SignalsOptions
	// Log holds the limits of the log: Retain, KeepLen and KeepBytes. They limit the events
	// in the file, and the events in memory, where the log has them, too. The other fields
	// have no effect. Give the same Retain to [nodebus.NewHub]. Default: see
	// [nodebus.HubOptions].
	Log *nodebus.HubOptions
	// Restored says that the file was restored from a backup, or copied. Set it once, for
	// the first Open after that: clients may have received events that are not in the
	// backup, and the log gives their IDs again. Open then begins a new epoch, so that a
	// client that comes back receives a [nodebus.Gap] and all kept events. Without it,
	// such a client misses events and does not know. Default: false.
	Restored bool
	// SecretKey encrypts the secrets of prompts in the file, with AES-256-GCM. It has 32
	// bytes. Whoever has the key and the file can read the secrets, so keep the key
	// elsewhere. Without a key, Push refuses prompts that have secrets. A key cannot be
	// changed while prompts with secrets wait: Open then returns [ErrKey]. Default: nil,
	// no key. An empty key that is not nil is an error of Open: a variable that is not set
	// must not switch the encryption off.
	SecretKey []byte
	// KeyFile is the path of a file with the secret key: 32 bytes, or 64 hexadecimal
	// digits. Give either SecretKey or KeyFile. Default: none.
	KeyFile string
	// DropSecrets is the mend for a lost key: without it, Open returns [ErrKey] as long as
	// prompts wait whose secrets the key does not open. With it, Open removes these secrets
	// from the file for ever, tells the Logger the ids of their prompts, and the prompts run
	// without secrets, so they may fail. With a wrong key by mistake, all secrets are lost. So
	// make a backup first, set it for one Open, and then remove it. Default: false.
	DropSecrets bool
	// Logger receives what no caller can be told, for example that the disk is full while
	// events wait, or that Open waits for another process. Default: [slog.Default].
	Logger *slog.Logger
}
