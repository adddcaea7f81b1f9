package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain runs the program instead of the tests if RUN_HELLO is set.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_HELLO") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestReadme checks that the README shows this program and its output.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(program), "package main")
	require.Contains(t, string(readme), "```go\npackage main"+code+"```")

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUN_HELLO=1")
	out, err := cmd.Output()
	require.NoError(t, err)
	timestamps := regexp.MustCompile(`"timestamp":\d{13}\b`)
	require.Contains(t, string(readme), "```\n"+timestamps.ReplaceAllString(string(out), `"timestamp":1767225600123`)+"```")
	require.Len(t, timestamps.FindAll(out, -1), 3)
}

// TestReadmeLinks checks that every file exists that the README links to.
func TestReadmeLinks(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, links)
	for _, l := range links {
		if strings.HasPrefix(l[1], "https://") {
			continue
		}
		file, anchor, found := strings.Cut(l[1], "#")
		page, err := os.Stat("../../" + file)
		require.NoError(t, err, l[1])
		if found && !page.IsDir() {
			text, err := os.ReadFile("../../" + file)
			require.NoError(t, err)
			require.Contains(t, anchors(string(text)), anchor, l[1])
		}
	}
}

// anchors lists the anchors of a page's headings, as code hosts make them.
func anchors(page string) (all []string) {
	odd := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, h := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(strings.ToLower(odd.ReplaceAllString(h[1], "")), " ", "-"))
	}
	return all
}
