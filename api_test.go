package nodebus_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite api.txt")

// TestAPI compares the exported declarations of the public packages with api.txt, so
// that a review shows each change of the API. Run the test with -update to accept a
// change.
func TestAPI(t *testing.T) {
	var api strings.Builder
	for _, dir := range publicPackages(t) {
		if api.Len() > 0 {
			api.WriteString("\n")
		}
		api.WriteString("# " + dir + "\n\n")
		for _, d := range exported(t, dir) {
			api.WriteString(d + "\n")
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("api.txt", []byte(api.String()), 0o644))
	}
	want, err := os.ReadFile("api.txt")
	require.NoError(t, err)
	was, is := strings.Split(string(want), "\n"), strings.Split(api.String(), "\n")
	if !slices.Equal(was, is) {
		t.Errorf("the API has changed; go test -run TestAPI -update . accepts that\nno more: %q\nnew: %q", missing(was, is), missing(is, was))
	}
}

// missing returns the lines of a text that another text does not have.
func missing(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return slices.Contains(others, l) })
}

// publicPackages returns the folders of this module that other modules may import.
func publicPackages(t *testing.T) (dirs []string) {
	t.Helper()
	eachGoFile(t, func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		public := !slices.Contains(strings.Split(dir, "/"), "internal") && !strings.HasPrefix(dir, "examples")
		if public && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	})
	return dirs
}

// eachGoFile calls f for each Go file of this module that is not a test.
func eachGoFile(t *testing.T, f func(path string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".":
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			f(path)
		}
		return nil
	}))
}

// exported returns the exported declarations of a package, without comments and bodies,
// in alphabetical order.
func exported(t *testing.T, dir string) (decls []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.FileExports(file)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if !ofExported(d) {
					continue
				}
				d.Body = nil
				decls = append(decls, printed(t, fset, d))
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if _, ok := spec.(*ast.ImportSpec); !ok {
						decls = append(decls, printed(t, fset, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}}))
					}
				}
			}
		}
	}
	slices.Sort(decls)
	return decls
}

// ofExported reports whether d is a function, or a method of an exported type.
func ofExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr: // a generic type
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		}
	}
}

func printed(t *testing.T, fset *token.FileSet, d ast.Decl) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, format.Node(&b, fset, d))
	// Remove the empty lines where comments were, and the spaces of alignment.
	return regexp.MustCompile("(\n)\n|( ) +").ReplaceAllString(b.String(), "$1$2")
}
