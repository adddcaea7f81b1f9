package nodebus_test

// A room is what this module allows a folder. A folder without an entry has the
// room of the nearest folder above it, except that the root has no say below it.
type room struct {
	imports []string // packages of this module that the folder may import

	// The limits are of the folder itself. A limit of 0 is no limit; that is for
	// rooms that hold many packages.
	files  int // source files, tests not counted, variants for systems counted
	names  int // exported types, functions, constants and variables; not methods
	circle int // files that use each other, directly or through others
}

// mustExist lists the files where a reader starts.
var mustExist = []string{"doc.go", "events.go", "executor.go", "hub.go", "node.go"}

// rooms is the table in force.
var rooms = map[string]room{
	".": {
		imports: []string{"internal/jsonenc", "internal/queue", "internal/value"},
		files:   25, names: 85, circle: 8,
	},
	"flow": {
		imports: []string{".", "internal/jsonenc", "internal/pyfmt", "internal/sched", "internal/value"},
		files:   25, names: 50, circle: 8,
	},
	"ws": {
		imports: []string{".", "internal/origin"},
		files:   7, names: 8, circle: 2,
	},
	"client": {
		imports: []string{"."},
		files:   4, names: 7, circle: 3,
	},
	"nodetest": {
		imports: []string{".", "flow"},
		files:   1, names: 4, circle: 1,
	},
	"conform": {
		imports: []string{".", "flow"},
		files:   10, names: 9, circle: 3,
	},
	"comfy": {
		imports: []string{".", "flow", "ws", "internal/files", "internal/jsonenc", "internal/origin"},
		files:   33, names: 5, circle: 30,
	},
	"examples": {imports: []string{
		".", "flow", "ws", "client", "comfy", "nodetest", "conform", "examples",
	}},
	"internal":         {imports: []string{"internal"}},
	"internal/refpack": {imports: []string{".", "flow", "internal/pyfmt"}}, // nodes, for tests
}
