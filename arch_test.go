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

// others lists the packages outside this module and the standard library that may be
// imported, and the folders that may import them.
var others = map[string][]string{
	"github.com/coder/websocket": {"ws", "client"},
}

// TestImportsPointOneWay fails if a file that is not a test has an import that rooms
// does not allow.
func TestImportsPointOneWay(t *testing.T) {
	used := map[string]bool{}
	eachGoFile(t, func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		rule := roomOf(dir)
		require.NotEmpty(t, rule, "%s: rooms has no entry for this folder", dir)
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
			require.False(t, ok && f.Recv == nil && f.Name.Name == "init", "%s: a package must not have a function init", path)
		}
	})
	for rule := range rooms {
		require.True(t, used[rule], "rooms has an entry for %s, but no such folder exists", rule)
	}
}

// roomOf returns the folder whose entry in rooms applies to dir: dir itself, or the
// nearest folder above it that has an entry.
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

// isUnder reports whether a package is in the list, or in a folder below a package of
// the list. The root package does not include the folders below it.
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
