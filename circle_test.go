package nodebus_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCircles fails if too many files of a package form a circle of mutual use,
// because such files can only be understood together.
//
// File A uses file B if A has an identifier that denotes a package-level name, a
// field or a method, and B declares it. A method belongs to the file that has
// the method, not to the file that has its type. A file is in a circle with each
// file that it reaches by such uses and that reaches it.
func TestCircles(t *testing.T) {
	fset := token.NewFileSet()
	imp := newImporter(t, fset)
	for _, dir := range slices.Sorted(maps.Keys(rooms)) {
		limit := rooms[dir].circle
		if limit == 0 {
			continue
		}
		uses := fileUses(t, fset, imp, dir)
		circle := largestCircle(uses)
		t.Logf("%-9s %2d of %d files in a circle, at most %d", dir, len(circle), len(uses), limit)
		if len(circle) > limit {
			t.Errorf("%s: these files all use each other: %s", dir, strings.Join(circle, " "))
		}
	}
}

// TestLargestCircle tests the search for circles with small graphs.
func TestLargestCircle(t *testing.T) {
	uses := func(pairs ...string) graph {
		g := graph{}
		for _, p := range pairs {
			from, to, _ := strings.Cut(p, ">")
			g.add(from, to)
		}
		return g
	}
	require.Len(t, largestCircle(uses("a>b", "b>c", "a>c")), 1)
	require.Equal(t, []string{"b", "c", "d"}, largestCircle(uses("a>b", "b>c", "c>d", "d>b", "d>e", "e>f", "f>e")))
}

// graph holds, by file, the files that it uses.
type graph map[string]map[string]bool

func (g graph) add(from, to string) {
	for _, name := range []string{from, to} {
		if g[name] == nil {
			g[name] = map[string]bool{}
		}
	}
	g[from][to] = true
}

// reach marks the files that can be reached from a file, and the file.
func (g graph) reach(from string, seen map[string]bool) map[string]bool {
	seen[from] = true
	for to := range g[from] {
		if !seen[to] {
			g.reach(to, seen)
		}
	}
	return seen
}

// largestCircle returns the largest set of files that all reach each other. It
// has 1 file if there is no circle.
func largestCircle(g graph) (largest []string) {
	reached := map[string]map[string]bool{}
	for name := range g {
		reached[name] = g.reach(name, map[string]bool{})
	}
	for _, name := range slices.Sorted(maps.Keys(g)) {
		var circle []string
		for other := range reached[name] {
			if reached[other][name] {
				circle = append(circle, other)
			}
		}
		if len(circle) > len(largest) {
			largest = circle
		}
	}
	slices.Sort(largest)
	return largest
}

// fileUses type-checks a package and returns which of its files use which.
func fileUses(t *testing.T, fset *token.FileSet, imp types.Importer, dir string) graph {
	t.Helper()
	listed, err := listPackages()
	require.NoError(t, err)
	uses := graph{}
	var files []*ast.File
	for _, name := range listed[importPath(dir)].GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
		uses.add(name, name)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: imp}
	pkg, err := config.Check(importPath(dir), fset, files, info)
	if err != nil {
		t.Errorf("%s does not compile: %v", dir, err)
		return uses
	}
	in := func(pos token.Pos) string { return filepath.Base(fset.File(pos).Name()) }
	for ident, obj := range info.Uses {
		if obj.Pkg() == pkg { // local names are declared in the same file
			uses.add(in(ident.Pos()), in(obj.Pos()))
		}
	}
	return uses
}
