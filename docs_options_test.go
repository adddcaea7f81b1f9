package nodebus_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// optionRow matches a row of a table that explains an option.
var optionRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")

// TestDocsOptions checks that docs/deploy.md has a section for each struct of
// options, and for the policy of a prompt, with a row for each field and no other rows.
func TestDocsOptions(t *testing.T) {
	page, err := os.ReadFile("docs/deploy.md")
	require.NoError(t, err)
	sections := map[string]string{}
	for _, section := range strings.Split(string(page), "\n### ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		sections[strings.Trim(heading, "`")] = text
	}
	for name, fields := range optionStructs(t, ".", "flow", "flow/around", "flow/loops", "ws", "sse", "comfy", "client", "contrib/bolt", "contrib/nats", "contrib/nats/embed") {
		var rows []string
		for _, row := range optionRow.FindAllStringSubmatch(sections[name], -1) {
			rows = append(rows, row[1])
		}
		t.Run(name, func(t *testing.T) {
			require.ElementsMatch(t, fields, rows, "the rows of the section in docs/deploy.md")
		})
	}
}

// optionStructs returns the exported fields of all structs whose name ends in
// Options, and of Policy, by the name with its package.
func optionStructs(t *testing.T, dirs ...string) map[string][]string {
	t.Helper()
	structs := map[string][]string{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, p := range paths {
			if strings.HasSuffix(p, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok || !spec.Name.IsExported() || !strings.HasSuffix(spec.Name.Name, "Options") && spec.Name.Name != "Policy" {
					return true
				}
				if s, ok := spec.Type.(*ast.StructType); ok {
					name := file.Name.Name + "." + spec.Name.Name
					for _, field := range s.Fields.List {
						for _, id := range field.Names {
							if id.IsExported() {
								structs[name] = append(structs[name], id.Name)
							}
						}
					}
				}
				return true
			})
		}
	}
	require.NotEmpty(t, structs)
	return structs
}
