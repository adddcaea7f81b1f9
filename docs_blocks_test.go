package nodebus_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// block is a fenced block of a page and the notes before it. Notes are comments
// of HTML, which readers of the page do not see:
//
//	<!-- given: ctx context.Context, hub *nodebus.Hub -->
//
// declares the variables that the block assumes.
//
//	<!-- shared -->
//
// lets all later fragments of the page use the names that the block declares.
//
//	<!-- shared: greet -->
//	<!-- with: greet -->
//
// shares a block under a name, for the blocks that ask for it. A block can have
// several notes, each on a line of its own.
type block struct {
	page string
	line int    // of the first line of code
	lang string // the first word after the fence
	code string

	given  []string // lists of parameters
	shared bool
	name   string   // under which it is shared, or empty
	with   []string // names of shared blocks
}

var (
	fencePattern = regexp.MustCompile("^([ \t]*)(```+)([^`]*)$")
	notePattern  = regexp.MustCompile(`^\s*<!--\s*(given|shared|with)\b:?\s*(.*?)\s*-->\s*$`)
)

// pageBlocks returns the fenced blocks of a page.
func pageBlocks(page, text string) (blocks []block, err error) {
	var notes block // collects the notes for the next block
	noted := 0      // the line of the last note, until a block has it
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if note := notePattern.FindStringSubmatch(lines[i]); note != nil {
			notes.note(note[1], note[2])
			noted = i + 1
			continue
		}
		fence := fencePattern.FindStringSubmatch(lines[i])
		switch {
		case fence == nil && noted > 0:
			return nil, fmt.Errorf("%s:%d: this note is not directly before a block", page, noted)
		case fence == nil:
			continue
		}
		b := notes
		b.page, b.line = page, i+2
		b.lang, _, _ = strings.Cut(strings.TrimSpace(fence[3]), " ")
		length := slices.IndexFunc(lines[i+1:], func(l string) bool { return strings.TrimSpace(l) == fence[2] })
		if length < 0 {
			return nil, fmt.Errorf("%s:%d: this block has no end", page, i+1)
		}
		for _, line := range lines[i+1 : i+1+length] {
			b.code += strings.TrimPrefix(line, fence[1]) + "\n"
		}
		blocks = append(blocks, b)
		notes, noted = block{}, 0
		i += 1 + length
	}
	return blocks, nil
}

// note records what a note says.
func (b *block) note(word, rest string) {
	switch word {
	case "given":
		b.given = append(b.given, rest)
	case "shared":
		b.shared, b.name = true, rest
	case "with":
		for name := range strings.SplitSeq(rest, ",") {
			b.with = append(b.with, strings.TrimSpace(name))
		}
	}
}
