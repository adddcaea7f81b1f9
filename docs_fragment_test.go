package nodebus_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// qualifiers holds the packages that a fragment can use without importing them,
// by the name that it uses.
var qualifiers = map[string]string{
	"nodebus": modulePath, "flow": modulePath + "/flow", "ws": modulePath + "/ws", "sse": modulePath + "/sse",
	"client": modulePath + "/client", "comfy": modulePath + "/comfy", "fold": modulePath + "/fold",
	"js": modulePath + "/js", "nodetest": modulePath + "/nodetest", "around": modulePath + "/flow/around", "loops": modulePath + "/flow/loops", "diskcache": modulePath + "/flow/diskcache", "conform": modulePath + "/conform",
	"picture": modulePath + "/picture", "bolt": modulePath + "/contrib/bolt", "nats": modulePath + "/contrib/nats",

	"atomic": "sync/atomic", "base64": "encoding/base64", "binary": "encoding/binary", "bufio": "bufio",
	"bytes": "bytes", "cmp": "cmp", "color": "image/color", "context": "context", "draw": "image/draw",
	"embed": "embed", "errors": "errors", "exec": "os/exec", "filepath": "path/filepath", "flag": "flag",
	"fmt": "fmt", "fs": "io/fs", "hex": "encoding/hex", "http": "net/http", "httptest": "net/http/httptest",
	"image": "image", "io": "io", "iter": "iter", "jpeg": "image/jpeg", "json": "encoding/json",
	"maps": "maps", "math": "math", "net": "net", "os": "os", "path": "path", "png": "image/png",
	"rand": "math/rand/v2", "reflect": "reflect", "regexp": "regexp", "runtime": "runtime",
	"sha256": "crypto/sha256", "signal": "os/signal", "slices": "slices", "slog": "log/slog",
	"sort": "sort", "strconv": "strconv", "strings": "strings", "sync": "sync",
	"synctest": "testing/synctest", "syscall": "syscall", "testing": "testing", "time": "time",
	"url": "net/url", "utf8": "unicode/utf8",

	"require": "github.com/stretchr/testify/require", "websocket": "github.com/coder/websocket",
}

// fragment is a block without a package clause, taken apart. Each part starts
// with a line directive, so that errors name the page.
type fragment struct {
	block
	imports    []string // specs
	decls      string
	statements string
}

// methodOrFunc matches the declaration of a function or method, but no function
// literal.
var methodOrFunc = regexp.MustCompile(`^func\s*(\([^)]*\)\s*|\s)\w+\s*[(\[]`)

// takeApart separates the code of a block into imports, declarations and statements.
// Functions and types are declarations. Variables and constants are declarations only
// if the block has no statements.
func takeApart(b block) fragment {
	f := fragment{block: b}
	var values string
	for _, c := range b.chunks() {
		text := fmt.Sprintf("//line %s:%d\n%s\n", b.page, c.line, c.text)
		switch {
		case c.first == token.IMPORT:
			f.imports = append(f.imports, importSpecs(c.text)...)
		case c.first == token.TYPE, c.first == token.FUNC && methodOrFunc.MatchString(c.text):
			f.decls += text
		case c.first == token.VAR, c.first == token.CONST:
			values += text
			f.statements += text
		default:
			f.statements += text
		}
	}
	if f.statements == values {
		f.decls, f.statements = values+f.decls, ""
	}
	return f
}

// chunk is a declaration or a statement at the top level of a block.
type chunk struct {
	line  int // line in the page
	first token.Token
	text  string
}

// chunks splits the code of a block at the semicolons outside of brackets, including
// the semicolons that Go inserts at the end of a line.
func (b block) chunks() (chunks []chunk) {
	file := token.NewFileSet().AddFile(b.page, -1, len(b.code))
	var s scanner.Scanner
	s.Init(file, []byte(b.code), func(token.Position, string) {}, 0) // the parser reports errors
	depth, start := 0, -1
	var first token.Token
	for {
		pos, tok, _ := s.Scan()
		at := file.Offset(pos)
		switch {
		case start < 0 && tok != token.EOF && tok != token.SEMICOLON:
			start, first = at, tok
		case start >= 0 && (tok == token.EOF || tok == token.SEMICOLON && depth <= 0):
			chunks = append(chunks, chunk{b.line + file.Line(file.Pos(start)) - 1, first, b.code[start:at]})
			start = -1
		}
		switch tok {
		case token.LPAREN, token.LBRACK, token.LBRACE:
			depth++
		case token.RPAREN, token.RBRACK, token.RBRACE:
			depth--
		case token.EOF:
			return chunks
		}
	}
}

// importSpecs returns the specs of an import declaration, without comments.
func importSpecs(text string) (specs []string) {
	file, _ := parser.ParseFile(token.NewFileSet(), "", "package p\n"+text, parser.ImportsOnly)
	for _, spec := range file.Imports {
		name := ""
		if spec.Name != nil {
			name = spec.Name.Name + " "
		}
		specs = append(specs, name+spec.Path.Value)
	}
	return specs
}

// asFile writes a Go file with a fragment and the fragments that it may use. The
// statements of each fragment are in a function, with the given variables as its
// parameters. The functions are nested. If a fragment has only declarations, its given
// variables become package variables.
func (f fragment) asFile(shared []fragment) (string, error) {
	var imports []string
	var decls, body, ends string
	vars := map[string]string{}
	for _, part := range append(slices.Clone(shared), f) {
		imports = append(imports, part.imports...)
		decls += part.decls
		line := fmt.Sprintf("//line %s:%d\n", part.page, part.line)
		given := strings.Join(part.given, ", ")
		switch {
		case part.statements != "" && body == "":
			body, ends = line+"func _("+given+") {\n"+part.statements, "}\n"
		case part.statements != "":
			body, ends = body+line+"_ = func("+given+") {\n"+part.statements, "}\n"+ends
		case part.decls != "":
			if err := addVars(vars, line, given); err != nil {
				return "", fmt.Errorf("%s:%d: given: %s", part.page, part.line, err.Error())
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		decls += vars[name]
	}
	code := decls + body + ends
	specs, err := withQualifiers(code, imports)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf("package page\n//line %s:%d\nimport (%s)\n", f.page, f.line, strings.Join(specs, "; "))
	return head + code, nil
}

// addVars adds a declaration for each variable of a list of parameters.
func addVars(vars map[string]string, line, given string) error {
	text := "func(" + given + ")"
	expr, err := parser.ParseExpr(text)
	if err != nil {
		return err
	}
	for _, field := range expr.(*ast.FuncType).Params.List {
		typ := text[field.Type.Pos()-1 : field.Type.End()-1]
		for _, name := range field.Names {
			vars[name.Name] = line + "var " + name.Name + " " + typ + "\n"
		}
	}
	return nil
}

// withQualifiers returns the specs without repetitions, and adds a spec for each other
// qualifier before a dot in the code. An unnecessary spec is harmless, because unused
// imports of a fragment are allowed.
func withQualifiers(code string, specs []string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package page\n"+code, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{} // names that the code imports or declares
	for _, spec := range specs {
		own[specName(spec)] = true
	}
	for _, d := range file.Decls {
		for _, name := range declared(d) {
			own[name.Name] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && qualifiers[x.Name] != "" && !own[x.Name] {
				specs = append(specs, x.Name+` "`+qualifiers[x.Name]+`"`)
			}
		}
		return true
	})
	slices.Sort(specs)
	return slices.Compact(specs), nil
}

// specName returns the name that an import spec adds to its file.
func specName(spec string) string {
	if name, _, ok := strings.Cut(spec, " "); ok {
		return name
	}
	path := strings.Trim(spec, `"`)
	for name, of := range qualifiers {
		if of == path { // the last element of the path may be a version
			return name
		}
	}
	return path[strings.LastIndex(path, "/")+1:]
}
