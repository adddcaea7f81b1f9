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

// others say who may import which package that is neither in this module nor in
// the standard library.
var others = map[string][]string{
	"github.com/coder/websocket": {"ws", "client"},
}

// TestImportsPointOneWay parses every import of what is not a test, and fails on
// an import that rooms does not have.
func TestImportsPointOneWay(t *testing.T) {
	used := map[string]bool{}
	eachGoFile(t, func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		rule := roomOf(dir)
		require.NotEmpty(t, rule, "%s: there is no room for this folder", dir)
		used[rule] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			within, ours := strings.CutPrefix(imported, modulePath)
			switch {
			case ours:
				if !isUnder(strings.TrimPrefix(within, "/"), rooms[rule].imports) {
					t.Errorf("%s imports %s", path, imported)
				}
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
	for rule := range rooms {
		require.True(t, used[rule], "the room %s is about no folder", rule)
	}
}

// roomOf returns the folder whose room holds for a folder: its own or the nearest
// one above it.
func roomOf(dir string) string {
	for at := dir; ; at = filepath.ToSlash(filepath.Dir(at)) {
		if _, ok := rooms[at]; ok && (at != "." || dir == ".") {
			return at
		}
		if at == "." {
			return ""
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
