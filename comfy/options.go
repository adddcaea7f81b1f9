package comfy

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
)

// Options configures a [Server]. A nil *Options and each zero field select the
// default. Defaults keep data private and bound the use of memory. [New] copies
// the Options; later changes of the fields have no effect.
type Options struct {
	// Authorize decides what a request may do. The server calls it for each
	// request on every route and for each WebSocket handshake, except for OPTIONS
	// requests. Calls can be concurrent. If Authorize returns an error, the server
	// answers with the text of the error: with status 401 if the error wraps
	// [nodebus.ErrUnauthenticated], otherwise with status 403. If the grant names a
	// client, the request can submit, interrupt and cancel prompts of that client
	// only. A socket watches the prompts of other clients that the grant names, and
	// those that it asks for and that the grant allows. The routes of runs show the
	// same prompts, and for a grant without a client the prompts of the client in the
	// parameter clientId. If Authorize is set, lists hide the client ids of other
	// clients. Default: every request may do everything.
	Authorize func(r *http.Request) (nodebus.Grant, error)
	// Origins lists the hosts ("app.example.com") or origins
	// ("https://app.example.com") of web pages on other hosts that may use the
	// server. Hosts lists the host names, without a port, that a request may
	// address. In both, * matches any part of a name. A pattern that is too wide
	// lets foreign pages act for the user.
	// Default: only pages of the same host may connect. At a public address, every host
	// name is accepted. At any other address, such as a loopback or a private address, a
	// request must name an IP address, localhost, or the machine; this stops DNS rebinding.
	// A list of Hosts replaces these names. "null" and "file://" in Origins allow pages
	// without a host; no pattern matches them. Every page can put content into a frame
	// whose origin is null, so "null" lets every page act for the user who opens it.
	Origins, Hosts []string

	// Input, Output and Temp are paths of folders with pictures and other files.
	// /view serves files from these folders, and uploads are stored in them. If a
	// path is empty, which is the default, that folder has no files, and the
	// server refuses uploads to it.
	Input, Output, Temp string
	// Data is the path of the folder for settings and user data. Default: they
	// are kept in memory, and are lost when the program ends.
	Data string
	// MultiUser gives each user separate settings and files. The front end shows
	// a page where the user selects a name. There are no passwords: every client
	// can select every user. Default: one user.
	MultiUser bool
	// Models maps names to folders of model files. /models lists the names.
	// /embeddings lists the files of the folder "embeddings". The preview of a model is a picture
	// beside it, such as a.png or a.preview.png for a.safetensors, or a picture in its metadata.
	// Default: no folders.
	Models map[string]fs.FS
	// Frontend holds the static files of a front end. The path / serves its
	// index.html. Default: a built-in page that runs workflows, draws their graphs
	// and shows what happens in them, answers questions, and orders the queue.
	Frontend fs.FS
	// Workflow is the workflow that ComfyUI's front end shows where it would show its own
	// default workflow: to a user without saved or unsaved work, at the first visit and at
	// later ones. It also takes the place of the front end's default for the command "Load Default
	// Workflow". It is JSON in the format that the front end saves, with a list of
	// "nodes", and not in the API format. The front end learns it from a script that the
	// server adds to /extensions. It has no effect without a Frontend. Default: the front end shows
	// its list of templates, and at later visits its own workflow, which needs the classes of ComfyUI.
	Workflow json.RawMessage
	// Extensions maps names to packs of JavaScript and other files. /extensions
	// lists the .js files of all packs, and the front end imports these files.
	// Scripts run in the user's browser, so name only packs that you trust. If there is a
	// Frontend, the server adds a pack "nodebus" with scripts of its own: for Workflow, and for
	// the total progress of a run whose page is loaded again. A pack of this name in
	// Extensions replaces them; nil stands for no scripts.
	Extensions map[string]fs.FS
	// Templates maps names to packs of workflow templates. A template is a .json
	// file, and a picture can be beside it.
	Templates map[string]fs.FS
	// Subgraphs maps names to packs of subgraph blueprints: nodes that consist of other nodes.
	// The front end offers them in its node library. A blueprint is a .json file, as the front
	// end saves it among the files of a user, in the folder subgraphs: a workflow whose
	// first node is a subgraph that the workflow defines. The name of the file is the name of the
	// node. If the pack or the path of a file changes, users lose their bookmarks of it. A
	// file that is no blueprint is left out, and the Logger receives it. Default: none.
	Subgraphs map[string]fs.FS
	// I18n is the answer of /i18n: it maps languages to translations of classes
	// and settings, in the format of the front end. It must be possible to encode
	// it as JSON.
	I18n map[string]any
	// Logs holds the text that the terminal of the front end shows. Every client
	// can read it. Default: the terminal is empty.
	Logs *Logs
	// Features holds feature flags that the server announces in addition to its
	// own flags. A flag of the server replaces a flag here of the same name.
	Features map[string]any
	// Version is the ComfyUI version that /system_stats reports. Default "0.38.1":
	// the server answers as that version does, without its assets. No route depends on it.
	Version string

	// MaxBody is the maximum size of the body of a prompt or of an upload, in bytes; of a
	// packed body (Content-Encoding gzip or deflate) also after it is unpacked. The
	// answer to a larger body has status 413. While the server reads and checks a
	// prompt, it needs about three times the body. Other bodies have at most 8 MiB. Default
	// 100 MiB.
	MaxBody int64
	// ReadTimeout is how long a client may take for the next 16 KiB of a body, or for the
	// rest of the body; and of a message on its WebSocket. Then the request is answered
	// with status 408, or the socket is closed. A large upload may take hours on a slow
	// line. It replaces the ReadTimeout of the http.Server while a body is read. Negative:
	// bodies are left to the http.Server, and a client that stops in the middle of a body
	// holds a connection for ever if that has no ReadTimeout. Default 1 minute.
	ReadTimeout time.Duration
	// MaxPerClient is the maximum number of WebSockets and requests that follow a run, of
	// one client at the same time. The answer to one more has status 429. A front end opens
	// a socket for each tab. All users to whom Authorize gives the same client id share the
	// bound. A request that follows a run and names no client counts only for
	// MaxConnections. Default 1000: some programs open a socket for each prompt and close none.
	MaxPerClient int
	// MaxConnections is the maximum number of WebSockets and requests that follow a run, of
	// all clients at the same time. The answer to one more has status 503. Default 10 000.
	MaxConnections int
	// MaxPrompt is the maximum memory of one prompt after decoding, in bytes, as
	// estimated from its JSON. The answer to a larger prompt has status 413 and the
	// error type prompt_too_large. A queue in memory refuses prompts that take more than
	// the share of one client in the same way, see [flow.QueueOptions]. Default 128 MiB.
	MaxPrompt int
	// MaxNodes is the maximum number of nodes in the graph of one prompt. The
	// answer to a larger graph has status 413. Default 100 000.
	MaxNodes int

	// HeadStart is the time that a prompt waits before it begins. Some clients
	// begin to listen only after they have read the answer to their submission,
	// which takes a millisecond or two. If all nodes of the prompt are cached, the
	// prompt could end before such a client listens, and the client would wait for
	// ever.
	//
	// After the answer, the server pings the sockets of the client. The head start begins
	// with the first reply. If no reply comes, the head start begins 250 ms after the ping.
	// For a client that has replied to the previous ping, this limit is 2 s. After the head
	// start, the server pings a client that has replied once more, and the prompt begins with
	// the reply, or after 2 s. The second ping is for a client that had no processor time
	// during the head start.
	//
	// Until then, the prompt waits in the queue, and later prompts of the client wait behind
	// it. If the client has no socket, or closes it, there is no head start. Negative disables
	// the head start. Default 20 ms.
	HeadStart time.Duration

	// LegacyBroadcasts sends some events to all clients, as ComfyUI does: the
	// progress, previews, interruptions and blocked nodes of prompts without a
	// client, and the progress text of all prompts. Clients then see content of
	// other clients. Default: a client receives only the events of its own prompts
	// and of the prompts that it watches.
	LegacyBroadcasts bool
	// TellRemoved sends the events of an interruption to the client of a waiting
	// prompt when the prompt is deleted from the queue. Default: as in ComfyUI,
	// clients receive only the new length of the queue. A prompt that waits for a further
	// attempt always ends with these events.
	TellRemoved bool

	// Logger receives problems that no caller and no client learns about. Default:
	// nothing is logged.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Version == "" {
		opts.Version = "0.38.1"
	}
	if opts.MaxBody <= 0 {
		opts.MaxBody = 100 << 20
	}
	if opts.ReadTimeout == 0 {
		opts.ReadTimeout = time.Minute
	}
	if opts.MaxPrompt <= 0 {
		opts.MaxPrompt = 128 << 20
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
