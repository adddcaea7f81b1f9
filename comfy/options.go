package comfy

import (
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/nodebus/nodebus/ws"
)

// Options of a [Server]. Nil, and each zero field, is the default, which is the
// private, bounded choice.
type Options struct {
	// Authorize maps a request, of any route or the socket, to what it may be and
	// see, or refuses it with an error, whose text is sent with status 403. If
	// it names a client, the request can submit, interrupt and cancel for that
	// client only. Whenever it is set, listings do not show the ids of other
	// clients. Default: everyone may do everything.
	Authorize func(r *http.Request) (ws.Grant, error)
	// Origins are hosts or origins of pages from elsewhere that may use the
	// server, and Hosts the names it goes by; * stands for any part of a name.
	// Default: pages of the same host, and any name that cannot be a trick.
	Origins, Hosts []string

	// Input, Output and Temp are the folders of pictures and other files that
	// /view shows and uploads go to. A folder that is not named has no files and
	// takes none.
	Input, Output, Temp string
	// Data is the folder that settings and user data are kept in. Default: they
	// are kept in memory.
	Data string
	// MultiUser has each user choose who to be at a login page; there are no
	// passwords.
	MultiUser bool
	// Models are folders of model files by name, as /models lists them. The one
	// called "embeddings" is also what /embeddings lists.
	Models map[string]fs.FS
	// Frontend are the static files of a front end; index.html is what / shows.
	// Default: a page that lists the classes and shows what runs.
	Frontend fs.FS
	// Extensions are packs of JavaScript and other files by name. Their .js files
	// are listed in /extensions, so that the front end imports them.
	Extensions map[string]fs.FS
	// Templates are packs of workflow templates by name: .json files, with
	// pictures beside them.
	Templates map[string]fs.FS
	// I18n is what /i18n answers: translations of classes and settings by
	// language, in the front end's form.
	I18n map[string]any
	// Logs is what the terminal of the front end shows. Default: nothing.
	Logs *Logs
	// Features are feature flags to announce beside the server's own.
	Features map[string]any
	// Version is what the server calls itself where ComfyUI has its version.
	// Default "0.8.0", the version whose routes these are.
	Version string

	// MaxBody bounds a request's body, in bytes; more is answered with 413.
	// Default 100 MiB.
	MaxBody int64
	// MaxNodes bounds the graph of one prompt. Default 100 000.
	MaxNodes int

	// HeadStart is how long a prompt waits before it begins, once its submission has
	// been answered and its client, asked through its socket, has shown that it is
	// awake: some clients listen only once they have read the answer, for which they
	// need a millisecond or two, and would wait for ever for the end of a prompt of
	// which nothing had to be computed. One without a socket is not waited for.
	// Negative is none. Default 20 ms.
	HeadStart time.Duration

	// KeepOlder lets a client have several sockets under one id. Default: a new
	// one closes the older.
	KeepOlder bool
	// LegacyBroadcasts sends everyone what ComfyUI does of the prompts that no
	// client has submitted (progress, previews, interruptions) and the progress
	// text of all. Default: nobody is told of what is not theirs.
	LegacyBroadcasts bool
	// TellRemoved tells the owner of a prompt that is deleted while it waits, as
	// if it had been interrupted. Default: as in ComfyUI, only the count changes.
	TellRemoved bool

	// Logger is told of what nobody else is. Nil is silent.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Version == "" {
		opts.Version = "0.8.0"
	}
	if opts.MaxBody <= 0 {
		opts.MaxBody = 100 << 20
	}
	if opts.MaxNodes <= 0 {
		opts.MaxNodes = 100_000
	}
	if opts.HeadStart == 0 {
		opts.HeadStart = 20 * time.Millisecond
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return opts
}
