package nodebus_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocsLinks follows the links between the documents and to files of this repository.
func TestDocsLinks(t *testing.T) {
	for _, page := range proseDocuments(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, problem := range deadLinks(filepath.ToSlash(page), string(text), os.ReadFile) {
			t.Error(problem)
		}
	}
}

// TestDeadLinks checks which links deadLinks finds.
func TestDeadLinks(t *testing.T) {
	read := func(name string) ([]byte, error) {
		if name == "b.md" {
			return []byte("# The `B`, and more\n\n```\n# code\n```\n"), nil
		}
		return nil, os.ErrNotExist
	}
	for _, tt := range []struct{ name, text, problem string }{
		{"to a page", "[b](../b.md)", ""},
		{"to a section", "[b](../b.md#the-b-and-more)", ""},
		{"within the page", "## Own part\n[own](#own-part)", ""},
		{"to the web", "[x](https://example.com/no#no)", ""},
		{"in code", "```\nx[i](no.md)\n```\n`y[i](no.md)`", ""},
		{"to no file", "[c](../c.md)", "docs/a.md: no file ../c.md"},
		{"to no section", "[b](../b.md#code)", "docs/a.md: no section ../b.md#code"},
		{"to no section of its own", "[own](#part)", "docs/a.md: no section #part"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			problems := deadLinks("docs/a.md", tt.text, read)
			require.Equal(t, tt.problem, strings.Join(problems, "\n"))
		})
	}
}

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#+ (.*)$`)
	codePattern    = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
	spanPattern    = regexp.MustCompile("`[^`\n]*`")
	otherPattern   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// deadLinks returns the links of a page that lead nowhere. Links to the web are not followed.
func deadLinks(page, text string, read func(name string) ([]byte, error)) (problems []string) {
	text = codePattern.ReplaceAllString(text, "")
	for _, m := range linkPattern.FindAllStringSubmatch(spanPattern.ReplaceAllString(text, ""), -1) {
		file, section, _ := strings.Cut(m[1], "#")
		if strings.Contains(m[1], "://") {
			continue
		}
		target := text
		if file != "" {
			name := path.Join(path.Dir(page), file)
			if info, err := os.Stat(name); err == nil && info.IsDir() {
				continue
			}
			data, err := read(name)
			if err != nil {
				problems = append(problems, page+": no file "+file)
				continue
			}
			target = codePattern.ReplaceAllString(string(data), "")
		}
		if section != "" && !hasSection(target, section) {
			problems = append(problems, page+": no section "+m[1])
		}
	}
	return problems
}

// hasSection reports whether a page has a heading with this anchor. GitHub makes an anchor from
// the letters, digits and spaces of a heading.
func hasSection(text, anchor string) bool {
	for _, m := range headingPattern.FindAllStringSubmatch(text, -1) {
		plain := otherPattern.ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return true
		}
	}
	return false
}
