package nodebus_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/nodebus/nodebus"

// arrows say which packages of this module a package may import. What is below a
// folder follows the folder's rule, unless it has one of its own.
var arrows = map[string][]string{
	".":                {"internal/jsonenc", "internal/pyfmt", "internal/queue", "internal/sched"},
	"ws":               {".", "internal/origin"},
	"client":           {"."},
	"nodetest":         {"."},
	"conform":          {"."},
	"comfy":            {".", "ws", "internal/files", "internal/jsonenc", "internal/origin"},
	"examples":         {".", "ws", "client", "comfy", "nodetest", "conform", "examples"},
	"internal":         {},
	"internal/refpack": {".", "internal/pyfmt"}, // nodes, for tests
}

// others say who may import which package that is neither in this module nor in
// the standard library.
var others = map[string][]string{
	"github.com/coder/websocket": {"ws", "client"},
}

// TestImportsPointOneWay parses every import of what is not a test, and fails on
// an arrow that the table does not have.
func TestImportsPointOneWay(t *testing.T) {
	used := map[string]bool{}
	eachGoFile(t, func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		rule, allowed := ruleOf(dir)
		require.NotEmpty(t, rule, "%s: there is no rule for this folder", dir)
		used[rule] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			within, ours := strings.CutPrefix(imported, modulePath)
			switch {
			case ours:
				require.True(t, isUnder(strings.TrimPrefix(within, "/"), allowed), "%s imports %s", path, imported)
			case strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
				require.Contains(t, others[imported], rule, "%s imports %s", path, imported)
			default:
				require.NotEqual(t, "log", imported, "%s: use log/slog", path)
			}
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			require.False(t, ok && f.Recv == nil && f.Name.Name == "init", "%s: importing a package does nothing", path)
		}
	})
	for rule := range arrows {
		require.True(t, used[rule], "the rule for %s is about nothing", rule)
	}
}

// ruleOf finds the rule of a folder or of the nearest one above it.
func ruleOf(dir string) (rule string, allowed []string) {
	for at := dir; ; at = filepath.ToSlash(filepath.Dir(at)) {
		if allowed, ok := arrows[at]; ok && (at != "." || dir == ".") {
			return at, allowed
		}
		if at == "." {
			return "", nil
		}
	}
}

// isUnder reports whether a package is one of those allowed, or in one of their
// folders. Only the root is not everything below it.
func isUnder(pkg string, allowed []string) bool {
	if pkg == "" {
		pkg = "."
	}
	for _, a := range allowed {
		if pkg == a || a != "." && strings.HasPrefix(pkg, a+"/") {
			return true
		}
	}
	return false
}
