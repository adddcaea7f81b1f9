package bolt

import (
	"log/slog"
	"time"

	"github.com/nodebus/nodebus/flow"
)

// lockTimeout is the default of Options.LockTimeout.
const lockTimeout = time.Second

// Options configures [Open]. The zero value and nil select the defaults.
type Options struct {
	// LockTimeout is the time that Open waits for another process to close the file. After a
	// deployment the old process may need some seconds. Open then returns [ErrInUse].
	// Default 1 s; less than 0: Open does not wait.
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
	// SecretKey encrypts the secrets of prompts in the file, with AES-256-GCM. It has 32
	// bytes. Whoever has the key and the file can read the secrets, so keep the key
	// elsewhere. Without a key, Push refuses prompts that have secrets. A key cannot be
	// changed while prompts with secrets wait: Open then returns [ErrKey]. Default: none.
	SecretKey []byte
	// KeyFile is the path of a file with the secret key: 32 bytes, or 64 hexadecimal
	// digits. Give either SecretKey or KeyFile. Default: none.
	KeyFile string
	// Logger receives what no caller can be told, for example that the disk is full while
	// events wait. Default: [slog.Default].
	Logger *slog.Logger
}
