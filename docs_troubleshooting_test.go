package nodebus_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// headingText matches the error text in a heading of docs/troubleshooting.md.
var headingText = regexp.MustCompile("(?m)^### `(.+)`$")

// verb matches what fmt.Sprintf replaces. In a heading, … stands for it.
var verb = regexp.MustCompile(`%[+#]?[sdvqwT]`)

// TestDocsTroubleshooting checks that each error text that docs/troubleshooting.md
// explains is in a string of the source. … stands for any text.
func TestDocsTroubleshooting(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	require.NoError(t, err)
	texts := sourceStrings(t)
	headings := headingText.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, headings)
	for _, h := range headings {
		for part := range strings.SplitSeq(h[1], "…") {
			part = strings.TrimSpace(part)
			require.Contains(t, texts, part, "docs/troubleshooting.md: no string of the source has the text of %q", h[1])
		}
	}
}

// sourceStrings returns all strings of the source that programs can print, one in a
// line, with … for what fmt.Sprintf replaces.
func sourceStrings(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, path := range everyGoFile(t) {
		top, _, nested := strings.Cut(path, string(os.PathSeparator))
		if strings.HasSuffix(path, "_test.go") || nested && (top == "bench" || top == "e2e" || top == "examples") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				b.WriteString(verb.ReplaceAllString(s, "…") + "\n")
			}
			return true
		})
	}
	return b.String()
}

// TestDocsCompilerText: the compiler says what docs/troubleshooting.md says about a Run of another form.
func TestDocsCompilerText(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	require.NoError(t, err)
	const text = "type A of A{} does not match nodebus.Node[Out] (cannot infer Out)"
	require.Contains(t, string(page), text)
	c := newCompiler(t)
	for _, run := range []string{
		"func (A) Run(ctx context.Context) (string, error) { return \"\", nil }",
		"func (A) Run(ctx nodebus.Context) (string, error) { return \"\", nil }",
		"func (A) Run(ctx *nodebus.Context) string { return \"\" }",
		"func (A) Run(ctx *nodebus.Context) (string, int, error) { return \"\", 0, nil }",
		"func (*A) Run(ctx *nodebus.Context) (string, error) { return \"\", nil }",
		"func (A) Do(ctx *nodebus.Context) (string, error) { return \"\", nil }",
	} {
		page := "```go\ntype A struct{}\n\n" + run + "\n\nflow.Register(flow.NewRegistry(), %s, nodebus.Info{})\n```\n"
		blocks, err := pageBlocks("p.md", fmt.Sprintf(page, "A{}"))
		require.NoError(t, err)
		problems := strings.Join(c.check(blocks), "\n")
		require.Contains(t, problems, text, run)
		blocks, err = pageBlocks("p.md", fmt.Sprintf(page, "&A{}"))
		require.NoError(t, err)
		require.Equal(t, strings.HasPrefix(run, "func (*A)"), len(c.check(blocks)) == 0, run)
	}
}
