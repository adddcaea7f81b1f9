package nodebus_test

// A room holds the rules for a folder. A folder without an entry in rooms has the room
// of the nearest folder above it that has one. The room of the root applies to the root
// only.
type room struct {
	imports []string // packages of this module that the folder may import

	// The limits apply to the folder itself, not to folders below it. 0 means no limit,
	// for folders that hold many packages.
	files  int // source files without tests; each variant for a system counts
	names  int // exported types, functions, constants and variables; not methods
	circle int // maximum number of files that all use each other, directly or indirectly
}

// mustExist lists the files where a new reader starts.
var mustExist = []string{"doc.go", "events.go", "executor.go", "hub.go", "node.go"}

// rooms holds the room of each folder.
var rooms = map[string]room{
	".": {
		imports: []string{"internal/jsonenc", "internal/queue", "internal/thumb", "internal/value"},
		// The log, the receipts, the watching and the statistics are boxes of their own, and
		// so are the payloads of events that ComfyUI does not have. Snapshots are one, too.
		// So are how a prompt ended, the questions of nodes, the limits of a graph, and its nodes.
		// The images that nodes send, and the queue in which they are encoded, are two more. So
		// are texts that grow: what a node writes to, and what clients receive. To is for node authors.
		// LogCache is for logs that keep their events elsewhere; what else a log may do has two names.
		files: 51, names: 127, circle: 8,
	},
	"flow": {
		imports: []string{".", "internal/jsonenc", "internal/pyfmt", "internal/sched", "internal/value"},
		// The engine is a job layer: signals, policies, deadlines, places, and questions are boxes of
		// their own. So are the leases of the queue in memory, and what a class is made of: ports,
		// tags, widgets, structs, functions, inputs that stand for many, and schemas that are checked and read.
		// A look at the whole graph is one, too, and so is the end of a prompt while the store is away.
		// What else a queue may do has two names.
		files: 95, names: 63, circle: 21,
	},
	"flow/around": {
		imports: []string{".", "flow"},
		files:   4, names: 6, circle: 2,
	},
	"flow/diskcache": {
		imports: []string{".", "flow"},
		files:   3, names: 3, circle: 3,
	},
	"flow/loops": {
		imports: []string{".", "flow"},
		files:   8, names: 2, circle: 7, // the pairing, the plan and the running of a loop know each other; the order of the pairing is a file of its own
	},
	"picture": {
		imports: []string{".", "internal/files", "internal/thumb"}, // thumb knows how large an image may be
		// Two formats, each with its reader; the metadata that they hold; the files with numbers,
		// and the words in their names.
		files: 7, names: 12, circle: 4,
	},
	"ws": {
		imports: []string{".", "internal/crowd", "internal/intake", "internal/nowait", "internal/origin", "internal/query"},
		files:   13, names: 8, circle: 2, // handshake, reader and receipts are its own; three files are for single systems
	},
	"sse": {
		imports: []string{".", "internal/crowd", "internal/intake", "internal/nowait", "internal/origin", "internal/query"},
		files:   6, names: 3, circle: 3,
	},
	"client": {
		imports: []string{".", "fold", "internal/jsonenc"},
		// Requests go over HTTP, and not over the connection. Two kinds of links, the reader of
		// streams, the watch over silent servers, queues, and loops are boxes of their own. So are
		// the requests: prompts, records, lists, files, states, and what a refusal says.
		files: 30, names: 8, circle: 12,
	},
	"fold": {
		imports: []string{"."},
		files:   6, names: 12, circle: 4,
	},
	"js": {
		files: 2, names: 1, circle: 1, // it only serves files
	},
	"nodetest": {
		imports: []string{".", "flow", "internal/jsonenc"},
		files:   2, names: 8, circle: 1, // a recorder, and stand-ins for classes
	},
	"conform": {
		imports: []string{".", "flow"},
		// The suites of Log, Logs and Server, and what they share; the suite of Signals; queues, logs,
		// stores and signals that are opened again. The suite of clients has a scripted server with
		// WebSocket frames of its own, so that it can send what no library sends. What else a
		// log may do is a file, too.
		files: 40, names: 28, circle: 4,
	},
	"comfy": {
		imports: []string{
			".", "flow", "js", "sse", "ws", "internal/crowd", "internal/intake", "internal/origin", "internal/query",
			"comfy/internal/content", "comfy/internal/info", "comfy/internal/jobs", "comfy/internal/media", "comfy/internal/runs",
			"comfy/internal/site", "comfy/internal/submit", "comfy/internal/terminal", "comfy/internal/users", "comfy/internal/web",
		},
		files: 11, names: 5, circle: 7, // the server, its options, its sockets, and the table of routes
	},
	// The rooms of the server know nothing of each other. Each stands on web and content.
	"comfy/internal/web":      {imports: []string{".", "internal/intake", "internal/jsonenc"}, files: 6, names: 25, circle: 4},
	"comfy/internal/content":  {imports: []string{"comfy/internal/web", "internal/files"}, files: 5, names: 8, circle: 2}, // what others made needs headers of its own
	"comfy/internal/media":    {imports: []string{"comfy/internal/content", "comfy/internal/web", "internal/files", "picture"}, files: 6, names: 4, circle: 5},
	"comfy/internal/site":     {imports: []string{"flow", "comfy/internal/content", "comfy/internal/web", "internal/files"}, files: 10, names: 2, circle: 6}, // subgraphs, previews and its own scripts are three more
	"comfy/internal/users":    {imports: []string{"comfy/internal/content", "comfy/internal/web", "internal/files"}, files: 5, names: 3, circle: 5},
	"comfy/internal/jobs":     {imports: []string{".", "flow", "comfy/internal/web", "internal/jsonenc", "internal/pyfmt"}, files: 13, names: 2, circle: 8}, // values that have no JSON are one more
	"comfy/internal/submit":   {imports: []string{".", "flow", "comfy/internal/web", "internal/jsonenc"}, files: 4, names: 3, circle: 3},                    // routes, the body of a submission, numbers
	"comfy/internal/runs":     {imports: []string{".", "flow", "fold", "sse", "comfy/internal/web"}, files: 5, names: 2, circle: 5},
	"comfy/internal/info":     {imports: []string{".", "flow", "comfy/internal/web"}, files: 4, names: 2, circle: 2},
	"comfy/internal/terminal": {imports: []string{".", "comfy/internal/web"}, files: 2, names: 4, circle: 2},
	"examples": {imports: []string{
		".", "flow", "ws", "sse", "client", "js", "comfy", "nodetest", "conform", "picture", "examples",
	}},
	"internal":         {imports: []string{"internal"}},
	"internal/query":   {imports: []string{"."}},                                      // what the transports read from a request
	"internal/stored":  {imports: []string{"."}},                                      // prompts and events as bolt and nats keep them
	"internal/bytelog": {imports: []string{"."}},                                      // a log for tests
	"internal/refpack": {imports: []string{".", "flow", "picture", "internal/pyfmt"}}, // nodes for tests
}
