package cookbook_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the blocks of docs/cookbook.md")

const pagePath = "../../docs/cookbook.md"

// longestRecipe is the maximum number of lines of a block.
const longestRecipe = 40

// notRecipes lists the files that are not on the page.
var notRecipes = []string{"main", "page", "curl"}

// recipe is a file of this folder, as the page shows it.
type recipe struct {
	code   string // the declarations, and the body of the example
	output string // what the example prints; empty if the file has no example
}

// TestPage compares the blocks of the page with the files. A comment
// <!-- recipe: name --> is before the blocks of each file.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(pagePath)
	require.NoError(t, err)
	recipes := readRecipes(t)
	shown, problems := fill(string(text), recipes)
	require.Empty(t, problems)
	if *update {
		require.NoError(t, os.WriteFile(pagePath, []byte(shown), 0o600)) // an existing page keeps its mode
	} else if shown != string(text) {
		t.Errorf("docs/cookbook.md differs from these files; go test ./examples/cookbook -run TestPage -update rewrites its blocks, first in line %d", firstOther(shown, string(text)))
	}
	for name, r := range recipes {
		require.Less(t, strings.Count(r.code, "\n"), longestRecipe, "recipe %s is too long", name)
	}
}

// TestFill checks what fill finds wrong.
func TestFill(t *testing.T) {
	recipes := map[string]recipe{"a": {"x := 1\n", "1\n"}, "b": {code: "type T int\n"}}
	const good = "<!-- recipe: a -->\n<!-- shared -->\n@@go\nx := 1\n@@\n\nPrints:\n\n@@\n1\n@@\n<!-- recipe: b -->\n@@go\ntype T int\n@@\n"
	for _, tt := range []struct{ name, page, problem string }{
		{"good", good, ""},
		{"old code", strings.Replace(good, "x := 1", "x := 2\ny := 3", 1), ""},
		{"old output", strings.Replace(good, "\n1\n", "\n2\n", 1), ""},
		{"unknown", good + "<!-- recipe: c -->\n@@go\n@@\n", "no file is the recipe c"},
		{"missing", strings.Replace(good, "recipe: b", "b", 1), "the page does not have the recipe b"},
		{"twice", good + good, "the page has the recipe a twice"},
		{"without a block", "<!-- recipe: a -->\n" + good[strings.Index(good, "<!-- recipe: b"):], "a recipe has not enough blocks: x := 1"},
		{"with a stray block", good + "@@go\nx := 1\n@@\n", "a block of Go is in no recipe: x := 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shown, problems := fill(strings.ReplaceAll(tt.page, "@@", "```"), recipes)
			if tt.problem != "" {
				require.Contains(t, problems, tt.problem)
				return
			}
			require.Empty(t, problems)
			require.Equal(t, strings.ReplaceAll(good, "@@", "```"), shown)
		})
	}
}

// firstOther returns the number of the first line in which b differs from a.
func firstOther(a, b string) int {
	lines := strings.Split(b, "\n")
	for i, line := range strings.Split(a, "\n") {
		if i >= len(lines) || lines[i] != line {
			return i + 1
		}
	}
	return len(lines)
}

var (
	recipePattern = regexp.MustCompile(`<!-- recipe: (\w+) -->\n`)
	blockPattern  = regexp.MustCompile("(?ms)^```(go)?\n(.*?)^```\n")
)

// fill returns the page with the blocks of the recipes, and what is wrong with the page.
func fill(page string, recipes map[string]recipe) (shown string, problems []string) {
	marks := recipePattern.FindAllStringSubmatchIndex(page, -1)
	marks = append(marks, []int{len(page), len(page), len(page), len(page)})
	shown, problems = replaceBlocks(page[:marks[0][0]])
	met := map[string]bool{}
	for i, m := range marks[:len(marks)-1] {
		name := page[m[2]:m[3]]
		r, ok := recipes[name]
		switch {
		case !ok:
			problems = append(problems, "no file is the recipe "+name)
		case met[name]:
			problems = append(problems, fmt.Sprintf("the page has the recipe %s twice", name))
		}
		met[name] = true
		want := []string{"```go\n" + r.code + "```\n"}
		if r.output != "" {
			want = append(want, "```\n"+r.output+"```\n")
		}
		part, found := replaceBlocks(page[m[0]:marks[i+1][0]], want...)
		shown += part
		problems = append(problems, found...)
	}
	for name := range recipes {
		if !met[name] {
			problems = append(problems, "the page does not have the recipe "+name)
		}
	}
	return shown, problems
}

// replaceBlocks replaces the first blocks of Go and output of a part of a page with others.
func replaceBlocks(part string, with ...string) (shown string, problems []string) {
	shown = blockPattern.ReplaceAllStringFunc(part, func(block string) string {
		switch {
		case len(with) > 0:
			block, with = with[0], with[1:]
		case strings.HasPrefix(block, "```go"):
			problems = append(problems, "a block of Go is in no recipe: "+strings.Split(block, "\n")[1])
		}
		return block
	})
	if len(with) > 0 {
		problems = append(problems, "a recipe has not enough blocks: "+strings.Split(with[0], "\n")[1])
	}
	return shown, problems
}

// readRecipes reads the files of this folder that are recipes.
func readRecipes(t *testing.T) map[string]recipe {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	recipes := map[string]recipe{}
	for _, path := range paths {
		if name := strings.TrimSuffix(path, "_test.go"); !slices.Contains(notRecipes, name) {
			recipes[name] = readRecipe(t, path)
		}
	}
	return recipes
}

func readRecipe(t *testing.T, path string) (r recipe) {
	t.Helper()
	source, err := os.ReadFile(path)
	require.NoError(t, err)
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, parser.ParseComments)
	require.NoError(t, err)
	text := func(from, to token.Pos) string {
		return string(source[fset.Position(from).Offset:fset.Position(to).Offset])
	}
	var parts []string
	for _, d := range file.Decls {
		f, isFunc := d.(*ast.FuncDecl)
		switch g, _ := d.(*ast.GenDecl); {
		case g != nil && g.Tok == token.IMPORT:
		case isFunc && strings.HasPrefix(f.Name.Name, "Example"):
			body, _, _ := strings.Cut(text(f.Body.Lbrace+1, f.Body.Rbrace), "\t// Output:\n")
			body = strings.ReplaceAll(strings.Trim(body, "\n"), "\n\t", "\n")
			parts = append(parts, strings.TrimPrefix(body, "\t"))
		default:
			parts = append(parts, text(start(d), d.End()))
		}
	}
	r.code = strings.Join(parts, "\n\n") + "\n"
	for _, example := range doc.Examples(file) {
		require.NotEmpty(t, example.Output, "%s: the example is not run", path)
		r.output = example.Output
	}
	return r
}

// start returns the beginning of a declaration, with its comment.
func start(d ast.Decl) token.Pos {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc != nil {
			return d.Doc.Pos()
		}
	case *ast.GenDecl:
		if d.Doc != nil {
			return d.Doc.Pos()
		}
	}
	return d.Pos()
}
