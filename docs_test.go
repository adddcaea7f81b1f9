package nodebus_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocs compiles each block of Go in the documents. If Node is installed, it also
// parses each block of JavaScript. See [block] for the notes that declare the names a
// block assumes.
func TestDocs(t *testing.T) {
	c := newCompiler(t)
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, page := range append([]string{"README.md"}, pages...) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		blocks, err := pageBlocks(filepath.ToSlash(page), string(text))
		require.NoError(t, err)
		for _, problem := range append(c.check(blocks), scriptProblems(t, blocks)...) {
			t.Error(problem)
		}
	}
}

// scriptProblems parses the blocks of JavaScript with Node and returns the errors, with
// the line numbers of the page.
func scriptProblems(t *testing.T, blocks []block) (problems []string) {
	t.Helper()
	node, err := exec.LookPath("node")
	for _, b := range blocks {
		switch {
		case b.lang != "js":
		case err != nil:
			t.Logf("%s:%d: not parsed, because Node is not installed", b.page, b.line)
		default:
			path := filepath.Join(t.TempDir(), filepath.Base(b.page)+".mjs")
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("\n", b.line-1)+b.code), 0o600))
			if out, err := exec.Command(node, "--check", path).CombinedOutput(); err != nil {
				problems = append(problems, fmt.Sprintf("%s:%d: %v\n%s", b.page, b.line, err, out))
			}
		}
	}
	return problems
}

// TestScripts checks that scriptProblems finds the error in a page with a correct block
// and a wrong block.
func TestScripts(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node is not installed")
	}
	blocks, err := pageBlocks("p.md", "```js\nimport { app } from \"/scripts/app.js\"\n```\n```js\nlet 1 = 2\n```\n")
	require.NoError(t, err)
	problems := scriptProblems(t, blocks)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "p.md:5: ")
	require.Contains(t, problems[0], "SyntaxError")
}

// TestCompiler compiles pages that are correct or have one error.
func TestCompiler(t *testing.T) {
	c := newCompiler(t)
	for _, tt := range []struct{ name, page, want string }{
		{"statements", "@@go\nhub := nodebus.NewHub(nil)\nunused, err := fmt.Println(hub)\n@@", ""},
		{"declarations", "@@go\nvar hub = nodebus.NewHub(nil)\n\nfunc f() { fmt.Println(hub) }\n@@", ""},
		{"both", "@@go\nimport str \"strings\"\n\ntype T struct{}\n\nfunc (T) M() {}\n\nvar t T\nt.M()\nstr.ToUpper(\"\")\n@@", ""},
		{"a name that is a package, too", "@@go\nurl, err := url.Parse(\"/\")\nfmt.Println(url.Path, err)\n@@", ""},
		{"a literal that is called", "@@go\nfunc() error { return nil }()\n@@", ""},
		{"in a list", "- a\n  @@go\n  fmt.Println()\n  @@\n", ""},
		{"no Go", "@@sh\nrm\n@@\n@@\nx\n@@", ""},

		{"an undeclared name", "text\n\n@@go\n\nx := nodebus.NoSuch()\n@@", "p.md:5: undefined: nodebus.NoSuch"},
		{"a package without a page", "@@go\nfoo.Bar()\n@@", "p.md:2: undefined: foo"},
		{"a wrong type", "@@go\ntype T struct{}\n\nvar n int = T{}\n@@", "p.md:4: cannot use T{}"},
		{"no Go at all", "@@go\nx := 1\ny := := 2\n@@", "p.md:3: expected operand"},
		{"an internal package", "@@go\nimport _ \"github.com/nodebus/nodebus/internal/queue\"\n@@", "p.md:2: readers cannot import"},

		{"a program", "@@go\npackage main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n@@", ""},
		{"an import without a use", "@@go\n// main.go\npackage main\n\nimport \"fmt\"\n\nfunc main() {}\n@@", "p.md:5: \"fmt\" imported and not used"},
		{"a variable without a use", "@@go\npackage main\n\nfunc main() { x := 1 }\n@@", "p.md:4: declared and not used: x"},
	} {
		t.Run(tt.name, func(t *testing.T) { compiles(t, c, tt.page, tt.want) })
	}
}

// TestNotes compiles pages whose blocks depend on notes.
func TestNotes(t *testing.T) {
	c := newCompiler(t)
	const greet = "@@go\ntype Greet struct{ Name string }\n@@\n"
	const use = "@@go\nfmt.Println(Greet{}.Name)\n@@\n"
	const program = "@@go\npackage main\n\nfunc main() { _ = Greet{} }\n@@\n"
	for _, tt := range []struct{ name, page, want string }{
		{"given", "<!-- given: ctx context.Context, a, b *nodebus.Hub -->\n@@go\na.Subscribe(ctx)\n@@", ""},
		{"given to declarations", "<!-- given: a, b *nodebus.Hub -->\n@@go\nfunc f() { fmt.Println(a, b) }\n@@", ""},
		{"given badly", "\n<!-- given: a a a -->\n@@go\nfunc f() {}\n@@", "p.md:4: given:"},
		{"given an unknown type", "<!-- given: a nodebus.NoSuch -->\n@@go\nfmt.Println(a)\n@@", "p.md:3: undefined: nodebus.NoSuch"},

		{"not shared", greet + use, "p.md:5: undefined: Greet"},
		{"shared", "<!-- shared -->\n" + greet + use + use, ""},
		{"shared too late", use + "<!-- shared -->\n" + greet, "p.md:2: undefined: Greet"},
		{"shared statements", "<!-- shared -->\n<!-- given: n int -->\n@@go\nm := n + 1\n@@\n<!-- shared -->\n@@go\nk := m\n@@\n@@go\nm := k + m\n@@\n", ""},
		{"shared by a program", "<!-- shared -->\n@@go\npackage main\n\ntype Greet struct{ Name string }\n\nfunc main() {}\n@@\n" + use, ""},
		{"declared again", "<!-- shared -->\n" + greet + greet, "p.md:6: Greet redeclared"},
		{"shared under a name", "<!-- shared: g -->\n" + greet + "<!-- with: g -->\n" + use, ""},
		{"shared under a name, for others", "<!-- shared: g -->\n" + greet + use, "p.md:6: undefined: Greet"},
		{"with what nobody shares", "<!-- with: g -->\n" + use, "p.md:3: no block before this one is shared as \"g\""},
		{"a program with a block", "<!-- shared: g -->\n" + greet + "<!-- with: g -->\n" + program, ""},
		{"a program without", "<!-- shared -->\n" + greet + program, "p.md:8: undefined: Greet"},

		{"a note before nothing", "<!-- shared -->\n\n" + greet, "p.md:1: this note is not directly before a block"},
		{"a block without an end", "a\n@@go\nb\n", "p.md:2: this block has no end"},
	} {
		t.Run(tt.name, func(t *testing.T) { compiles(t, c, tt.page, tt.want) })
	}
}

// compiles checks a page, in which @@ stands for the mark of a fence. The first problem
// must begin with wanted; if wanted is empty, there must be no problem.
func compiles(t *testing.T, c *compiler, page, want string) {
	t.Helper()
	blocks, err := pageBlocks("p.md", strings.ReplaceAll(page, "@@", "```"))
	problems := c.check(blocks)
	if err != nil {
		problems = []string{err.Error()}
	}
	if want == "" {
		require.Empty(t, problems)
		return
	}
	require.NotEmpty(t, problems)
	require.True(t, strings.HasPrefix(problems[0], want), problems[0])
}
