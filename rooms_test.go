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

// rooms is the table in force.
var rooms = today

var _ = target // is not in force yet

// mustExist lists the files where a reader starts.
var mustExist = []string{"doc.go", "events.go", "executor.go", "hub.go", "node.go"}

// today is the table for the package as it is.
var today = map[string]room{
	".": {
		imports: []string{"internal/jsonenc", "internal/pyfmt", "internal/queue", "internal/sched"},
		files:   51, names: 111, circle: 41,
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
		imports: []string{"."},
		files:   1, names: 4, circle: 1,
	},
	"conform": {
		imports: []string{"."},
		files:   6, names: 6, circle: 1,
	},
	"comfy": {
		imports: []string{".", "ws", "internal/files", "internal/jsonenc", "internal/origin"},
		files:   33, names: 5, circle: 30,
	},
	"examples": {imports: []string{
		".", "ws", "client", "comfy", "nodetest", "conform", "examples",
	}},
	"internal":         {},
	"internal/refpack": {imports: []string{".", "internal/pyfmt"}}, // nodes, for tests
}

// target is the table for the package once flow is a package of its own.
var target = map[string]room{
	".": {
		imports: []string{"internal/jsonenc", "internal/queue", "internal/value"},
		files:   25, names: 85, circle: 12,
	},
	"flow": {
		imports: []string{".", "internal"},
		files:   25, names: 50, circle: 12,
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
		files:   6, names: 6, circle: 1,
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
