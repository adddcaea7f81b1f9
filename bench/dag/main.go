// Command dag measures the cost per node of graph executors. The nodes do almost
// nothing. The peers take turns; each line of CSV is one graph that one peer has run.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// runner is a peer. make prepares a graph and returns two functions: run runs the
// graph and must call f once for each node, and end frees all resources.
type runner struct {
	name string
	max  int // maximum number of nodes; more nodes would take minutes
	make func(g *graph, f func(i int)) (run, end func())
}

func runners() []runner {
	return []runner{
		{"limit", 10e6, limit},
		{"limit-observed", 10e6, observed},
		{"goroutine-per-node", 2e6, goroutinePerNode},
		{"nodebus", 10e6, nodebusRunner(true)},
		{"nodebus-silent", 10e6, nodebusRunner(false)},
		{"nodebus-submitted", 10e6, submitted},
		{"heimdalr", 3001, heimdalr},
		{"getoptions", 3001, getOptions},
	}
}

// parseRunners returns the runners of a comma-separated list, or all if it is empty.
func parseRunners(list string) (rs []runner, err error) {
	if list == "" {
		return runners(), nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(runners(), func(r runner) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-runners: there is no peer %q", name)
		}
		rs = append(rs, runners()[i])
	}
	return rs, nil
}

func main() {
	if err := measureAll(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "dag:", err)
		}
		os.Exit(1)
	}
}

func measureAll(args []string, out io.Writer) error {
	f := flag.NewFlagSet("dag", flag.ContinueOnError)
	only := f.String("runners", "", "comma-separated peers to measure; all peers if empty")
	shapes := f.String("graphs", "chain:1000,wide:1000,layered:10000,chain:100000,wide:100000", "comma-separated graphs, each as shape:nodes; the shapes are chain, wide and layered")
	reps := f.Int("reps", 5, "number of repetitions")
	if err := f.Parse(args); err != nil {
		return err
	}
	graphs, err := parseGraphs(*shapes)
	if err != nil {
		return err
	}
	measured, err := parseRunners(*only)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, header)
	for rep := range *reps {
		for _, g := range graphs {
			for _, r := range measured {
				if g.n > r.max {
					continue
				}
				row, err := measureOne(r, g)
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "%s,%s,%d,%d,%d,%s\n", r.name, g.name, g.n, g.edges, rep, row)
			}
		}
	}
	return nil
}
