// Command summary prints the output of the measurements as Markdown tables. The tables
// contain the median of each figure. The main column also has its range, and its ratio
// to the limit.
//
//	summary [-limit PEER] ws|dag|bench FILE...
//
// The format bench is the output of go test -bench.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
}

// format describes the output of one kind of measurement.
type format struct {
	read  func(t *tables, in io.Reader) error
	limit string // the peer that the other peers are compared with
	main  string // the name of the main column
}

func formats() map[string]format {
	return map[string]format{
		"ws":    {readWS, "raw-shard", "cpu_s_per_M"},
		"dag":   {readDAG, "limit-observed", "cpu_ns_node"},
		"bench": {readBench, "limit", ""},
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("summary", flag.ContinueOnError)
	limit := flags.String("limit", "", "the `peer` to compare with; if empty, the default of the format")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f, ok := formats()[flags.Arg(0)]
	if !ok || flags.NArg() < 2 {
		return errors.New("usage: summary [-limit PEER] ws|dag|bench FILE [FILE ...]")
	}
	if *limit != "" {
		f.limit = *limit
	}
	t := &tables{limit: f.limit, main: f.main}
	for _, name := range flags.Args()[1:] {
		if err := t.readFile(name, f.read); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return t.print(out)
}

func (t *tables) readFile(name string, read func(*tables, io.Reader) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(read(t, file), file.Close())
}
