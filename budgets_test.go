package nodebus_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// longestFile is the maximum number of lines of a Go file.
const longestFile = 400

// TestBudgets fails if a package has more source files or exported names than
// its room allows, or a file is too long. It logs the numbers.
func TestBudgets(t *testing.T) {
	for _, dir := range slices.Sorted(maps.Keys(rooms)) {
		limit := rooms[dir]
		if limit.files == 0 {
			continue
		}
		n := measure(t, dir)
		t.Logf("%-9s %2d files, at most %2d; %3d names, at most %3d", dir, n.files, limit.files, n.names, limit.names)
		if n.files > limit.files {
			t.Errorf("%s has %d source files, at most %d are allowed", dir, n.files, limit.files)
		}
		if n.names > limit.names {
			t.Errorf("%s exports %d names, at most %d are allowed", dir, n.names, limit.names)
		}
	}
	for _, path := range everyGoFile(t) {
		if n := lines(t, path); n > longestFile {
			t.Errorf("%s has %d lines, at most %d are allowed", path, n, longestFile)
		}
	}
}

// TestLandmarks fails if a file of mustExist is missing.
func TestLandmarks(t *testing.T) {
	for _, name := range mustExist {
		require.FileExists(t, name)
	}
}

// TestPublicRooms fails if a public package has no limits in rooms.
func TestPublicRooms(t *testing.T) {
	for _, dir := range publicPackages(t) {
		limit := rooms[dir]
		require.True(t, limit.files > 0 && limit.names > 0 && limit.circle > 0, "%s: rooms has no limits for this package", dir)
	}
}

// size holds the counts of a package.
type size struct {
	files, names int
}

// measure counts the source files and the exported names of a folder.
func measure(t *testing.T, dir string) (n size) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		n.files++
		n.names += exportedNames(file)
	}
	return n
}

// exportedNames counts the types, functions, constants and variables that a file
// exports.
func exportedNames(file *ast.File) (n int) {
	for _, d := range file.Decls {
		for _, name := range declared(d) {
			if name.IsExported() {
				n++
			}
		}
	}
	return n
}

// declared returns the package-level names of a declaration. A method has no such name.
func declared(d ast.Decl) (names []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name)
			case *ast.ValueSpec:
				names = append(names, spec.Names...)
			}
		}
	}
	return names
}

func lines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return bytes.Count(text, []byte("\n"))
}
