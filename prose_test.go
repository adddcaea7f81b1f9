package nodebus_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// riddles matches phrases that make a sentence hard to read: a pronoun instead of a
// noun, a passive that hides who acts, or an inverted negation.
var riddles = regexp.MustCompile(`(?i)\b(` + strings.ReplaceAll(
	`of which|to which|that of|those of|but for|is told|are told|so that it is never|is never in no`,
	" ", `\s+`) + `)\b`)

// proseException allows a fragment of a text.
type proseException struct {
	file     string
	fragment string // as the test prints it
	reason   string
}

// proseExceptions lists the exceptions. Each must match a text.
var proseExceptions = []proseException{}

// TestProse fails on riddles in the comments of all Go files and in the
// documents.
func TestProse(t *testing.T) {
	used := make([]bool, len(proseExceptions))
	report := func(path string, passages []passage) {
		for _, p := range passages {
			for _, f := range p.findings() {
				i := slices.IndexFunc(proseExceptions, func(e proseException) bool {
					return e.file == path && strings.Contains(f.text, e.fragment)
				})
				if i >= 0 {
					used[i] = true
					continue
				}
				t.Errorf("%s:%d: %q in: %s", path, f.line, f.riddle, f.text)
			}
		}
	}
	for _, path := range everyGoFile(t) {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		report(filepath.ToSlash(path), commentPassages(t, path, string(source)))
	}
	for _, path := range proseDocuments(t) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		report(filepath.ToSlash(path), documentPassages(string(text)))
	}
	for i, e := range proseExceptions {
		require.NotEmpty(t, e.reason, "%s: the exception for %q has no reason", e.file, e.fragment)
		require.True(t, used[i], "%s: the exception for %q matches nothing", e.file, e.fragment)
	}
}

// TestProseFinds checks which texts TestProse reads, and which phrases it finds.
func TestProseFinds(t *testing.T) {
	found := func(passages []passage) (sentences []string) {
		for _, p := range passages {
			for _, f := range p.findings() {
				sentences = append(sentences, strconv.Itoa(f.line)+" "+f.text)
			}
		}
		return sentences
	}
	source := "package p\n\n// A first. It is that\n// of B. A third.\n\nvar x = \"that of\" // a\n\t// b But\n\t// for c\n\n" +
		"var (\n\ta = 1 // that\n\tb = 2 // of\n)\n\n/* is\ntold */\n"
	require.Equal(t, []string{"3 It is that of B.", "7 a b But for c", "15 is told"},
		found(commentPassages(t, "p.go", source)))
	page := "# of which\n\nOne that\nof two.\n\n```go\nthat of\n```\n\nthat\n\nof\n"
	require.Equal(t, []string{"1 # of which", "3 One that of two."}, found(documentPassages(page)))
}

// proseDocuments lists the documents that TestProse reads.
func proseDocuments(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	return append([]string{"README.md", "CONTRIBUTING.md"}, pages...)
}

// passage is a text whose lines are joined. It keeps the position of each line.
type passage struct {
	text   string
	starts []int // start of each line in text
	lines  []int // the number of each line in its file
}

// add appends a line. line is its number in the file.
func (p *passage) add(text string, line int) {
	if p.text != "" {
		p.text += " "
	}
	p.starts = append(p.starts, len(p.text))
	p.lines = append(p.lines, line)
	p.text += strings.TrimSpace(text)
}

// finding is a riddle and its sentence.
type finding struct {
	line         int // line of the start of the riddle
	riddle, text string
}

func (p *passage) findings() (found []finding) {
	text := p.text
	for _, at := range riddles.FindAllStringIndex(text, -1) {
		line := p.lines[sort.SearchInts(p.starts, at[0]+1)-1]
		begin := strings.LastIndex(text[:at[0]], ". ") + 1
		end := len(text)
		if i := strings.Index(text[at[1]:], ". "); i >= 0 {
			end = at[1] + i + 1
		}
		found = append(found, finding{line, text[at[0]:at[1]], strings.TrimSpace(text[begin:end])})
	}
	return found
}

// commentPassages returns the comments of a Go file. A comment continues the previous
// comment if it is alone on the next line. A generated file has no passages.
func commentPassages(t *testing.T, path, source string) (passages []passage) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	if ast.IsGenerated(file) {
		return nil
	}
	code, last := strings.Split(source, "\n"), -1
	for _, group := range file.Comments {
		for _, c := range group.List {
			at := fset.PositionFor(c.Pos(), false)
			alone := strings.TrimSpace(code[at.Line-1][:at.Column-1]) == ""
			if !alone || at.Line != last+1 {
				passages = append(passages, passage{})
			}
			for i, line := range strings.Split(commentText(c.Text), "\n") {
				last = at.Line + i
				passages[len(passages)-1].add(line, last)
			}
		}
	}
	return passages
}

// commentText returns a comment without its marks.
func commentText(text string) string {
	if text, ok := strings.CutPrefix(text, "//"); ok {
		return text
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
}

// documentPassages returns the paragraphs of a Markdown text, without blocks of
// code.
func documentPassages(text string) (passages []passage) {
	fenced, open := false, false // open: the paragraph goes on
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fenced, open = !fenced, false
		case fenced || trimmed == "":
			open = false
		default:
			if !open {
				passages = append(passages, passage{})
			}
			passages[len(passages)-1].add(trimmed, i+1)
			open = true
		}
	}
	return passages
}
