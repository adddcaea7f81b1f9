package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
)

// screen prints a line for each event. On a terminal it also draws a progress bar for
// each running node, below the lines.
type screen struct {
	out   io.Writer
	names map[string]string // class by node id
	bars  bool
	runs  []nodebus.NodeState
	drawn int // number of bars on the screen
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s *screen) line(event, node, about string) {
	s.clear()
	fmt.Fprintln(s.out, strings.TrimRight(fmt.Sprintf("  %-16s %-12s %s", event, s.name(node), about), " "))
	s.draw()
}

func (s *screen) name(node string) string {
	return strings.TrimSpace(node + " " + s.names[node])
}

func (s *screen) executing(_ nodebus.Event, p nodebus.Executing) {
	if p.UniqueID == "" {
		s.runs = nil
		s.line("closed", "", "")
		return
	}
	s.line("executing", p.UniqueID, "")
}

func (s *screen) progress(_ nodebus.Event, p nodebus.Progress) {
	s.line("progress", p.UniqueID, fmt.Sprintf("%g of %g", p.Value, p.Max))
}

// state handles a snapshot of the progress of all nodes.
func (s *screen) state(_ nodebus.Event, p nodebus.ProgressState) {
	s.clear()
	s.runs = slices.DeleteFunc(p.Nodes(), func(n nodebus.NodeState) bool { return n.State != "running" })
	s.draw()
}

func (s *screen) draw() {
	if !s.bars {
		return
	}
	for _, n := range s.runs {
		full := 0
		if n.Max > 0 {
			full = int(30 * min(max(n.Value/n.Max, 0), 1))
		}
		fmt.Fprintf(s.out, "  %-12s [%s%s]\n", s.name(n.UniqueID), strings.Repeat("█", full), strings.Repeat("·", 30-full))
	}
	s.drawn = len(s.runs)
}

// clear removes the bars.
func (s *screen) clear() {
	for ; s.drawn > 0; s.drawn-- {
		fmt.Fprint(s.out, "\x1b[1A\x1b[2K")
	}
}
