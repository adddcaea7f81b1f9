//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocsPage runs the program and the page that docs/browser.md begins with, and in the
// page the examples of the section about the module.
func TestDocsPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/browser.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(text), "\n## The module\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := map[string][]string{}
	for _, b := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```\n").FindAllStringSubmatch(section, -1) {
		blocks[b[1]] = append(blocks[b[1]], b[2])
	}

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "public"), 0o700))
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	const address = `"127.0.0.1:8080"`
	require.Contains(t, blocks["go"][0], address)
	write("main.go", strings.ReplaceAll(blocks["go"][0], address, `address`))
	write("address.go", "package main\n\nimport \"os\"\n\nvar address = os.Getenv(\"ADDRESS\")\n")
	write("public/index.html", blocks["html"][0])
	for i, script := range blocks["js"] {
		write(filepath.Join("public", string(rune('a'+i))+".txt"), script)
	}
	program := filepath.Join(dir, "program")
	out, err := exec.Command("go", "build", "-o", program, filepath.Join(dir, "main.go"), filepath.Join(dir, "address.go")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	run(t, "node", "browser/docs.mjs", startProgram(t, dir, program, "/"))
}
