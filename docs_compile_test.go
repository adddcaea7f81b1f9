package nodebus_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// compiler type-checks the Go blocks of pages.
type compiler struct {
	fset     *token.FileSet
	importer types.Importer
}

func newCompiler(t *testing.T) *compiler {
	t.Helper()
	fset := token.NewFileSet()
	return &compiler{fset, newImporter(t, fset)}
}

// check returns the errors of the Go blocks of a page, each with the page and the line.
func (c *compiler) check(blocks []block) (problems []string) {
	for i, b := range blocks {
		if b.lang != "go" {
			continue
		}
		shared, err := b.uses(blocks[:i])
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		files, found := c.parse(b, shared)
		if len(found) == 0 {
			found = c.typeCheck(files, b)
		}
		for _, p := range found {
			if !slices.Contains(problems, p) { // a problem of a shared block appears in each block that uses it
				problems = append(problems, p)
			}
		}
	}
	return problems
}

// uses returns the earlier blocks whose names a block may use. A file uses only
// the blocks that it asks for.
func (b block) uses(earlier []block) (shared []block, err error) {
	met := map[string]bool{}
	for _, e := range earlier {
		if e.shared && (e.name == "" && !isFile(b) || slices.Contains(b.with, e.name)) {
			shared = append(shared, e)
			met[e.name] = true
		}
	}
	for _, name := range b.with {
		if !met[name] {
			return nil, fmt.Errorf("%s:%d: no block before this one is shared as %q", b.page, b.line, name)
		}
	}
	return shared, nil
}

// isFile reports whether a block is a whole Go file.
func isFile(b block) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", b.code, parser.PackageClauseOnly)
	return err == nil
}

// parse makes Go files from a block and the blocks that it may use. All are in one
// package.
func (c *compiler) parse(b block, shared []block) (files []*ast.File, problems []string) {
	var parts []fragment
	var sources []string
	for _, s := range append(slices.Clone(shared), b) {
		if isFile(s) {
			sources = append(sources, fmt.Sprintf("//line %s:%d\n%s", s.page, s.line, s.code))
		} else {
			parts = append(parts, takeApart(s))
		}
	}
	if n := len(parts); n > 0 {
		source, err := parts[n-1].asFile(parts[:n-1])
		if err != nil {
			return nil, problemsOf(err)
		}
		sources = append(sources, source)
	}
	for _, source := range sources {
		file, err := parser.ParseFile(c.fset, "block.go", source, parser.SkipObjectResolution)
		if err != nil {
			return nil, problemsOf(err)
		}
		file.Name.Name = "page"
		files = append(files, file)
	}
	return files, nil
}

// problemsOf splits a list of errors.
func problemsOf(err error) (problems []string) {
	var list scanner.ErrorList
	if !errors.As(err, &list) {
		return []string{err.Error()}
	}
	for _, e := range list {
		problems = append(problems, e.Error())
	}
	return problems
}

// typeCheck checks the files of a block. An unused name is a problem only in a block
// that is a whole file.
func (c *compiler) typeCheck(files []*ast.File, b block) (problems []string) {
	whole := isFile(b)
	config := types.Config{Importer: c.importer, Error: func(err error) {
		var e types.Error
		if errors.As(err, &e) && e.Soft && strings.Contains(e.Msg, "and not used") {
			shared := c.fset.Position(e.Pos).Line < b.line // shared blocks come earlier on the page
			if shared || !whole {
				return
			}
		}
		problems = append(problems, err.Error())
	}}
	_, _ = config.Check("page", c.fset, files, nil) // Error receives all errors
	for _, file := range files {
		for _, spec := range file.Imports {
			if strings.HasPrefix(strings.Trim(spec.Path.Value, `"`), modulePath+"/internal") {
				at := c.fset.Position(spec.Pos())
				problems = append(problems, fmt.Sprintf("%s: readers cannot import %s", at, spec.Path.Value))
			}
		}
	}
	return problems
}
