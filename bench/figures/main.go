//go:build linux

// Command figures measures every figure of the benchmarks that has a goal, and prints them
// as tables. It builds the programs, and lets all peers take turns: a repetition measures
// each of them once. The ratios are between peers of the same repetition.
//
//	figures          each benchmark for a moment, to see that it works; the figures mean nothing
//	figures -long    the figures; takes about four minutes for each repetition
//
// It fails if a benchmark fails or a message is lost. It does not fail because of a figure.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus/bench/ws/server"
)

// options holds the command line.
type options struct {
	long   bool
	reps   int
	only   []string // names of groups; all if empty
	folder string   // keeps the output of the programs
	read   bool     // measure nothing; print what is in the folder
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("figures", flag.ContinueOnError)
	f.BoolVar(&o.long, "long", false, "measure long enough for the figures to mean something")
	f.IntVar(&o.reps, "reps", 0, "number of repetitions; 0 means 3 if -long, else 1")
	only := f.String("only", "", "comma-separated groups to measure: "+strings.Join(groupNames(), ", ")+"; all if empty")
	f.StringVar(&o.folder, "o", "", "keep the output of the programs in this `folder`")
	f.BoolVar(&o.read, "read", false, "measure nothing; print the figures of complete repetitions in the folder of -o")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.reps == 0 {
		o.reps = 1
		if o.long {
			o.reps = 3
		}
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(groupNames(), name) {
			return o, fmt.Errorf("-only: there is no group %q", name)
		}
	}
	return o, nil
}

func run(args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	all := newResults(o.long)
	began := time.Now()
	if o.read {
		err = readFolder(&o, all)
	} else {
		err = measureAll(&o, all)
	}
	if err != nil {
		return err
	}
	if !o.read {
		fmt.Fprintf(out, "%d repetitions took %s. ", o.reps, time.Since(began).Round(time.Second))
	}
	fmt.Fprintf(out, "%s, %d processors. Other programs used %s processors meanwhile.\n", runtime.Version(), runtime.NumCPU(), all.others())
	for _, t := range tables(&o) {
		t.print(out, all)
	}
	return all.lost()
}

// measureAll builds the programs and measures all groups in each repetition.
func measureAll(o *options, all *results) (err error) {
	bin, err := os.MkdirTemp("", "nodebus-figures")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	folder := o.folder
	if folder == "" {
		folder = bin
	}
	const bench = "github.com/nodebus/nodebus/bench/"
	if err := execute(os.Stderr, "go", "build", "-o", bin, bench+"ws/wsserver", bench+"ws/wsload", bench+"dag"); err != nil {
		return err
	}
	for rep := range o.reps {
		for _, g := range o.groups() {
			if err := g.measure(bin, folder, rep, all); err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
		}
	}
	return nil
}

// groups returns the groups to measure.
func (o *options) groups() []group {
	return slices.DeleteFunc(groups(o), func(g group) bool {
		return len(o.only) > 0 && !slices.Contains(o.only, g.name)
	})
}

// readFolder reads what an earlier run has kept. It stops before the first repetition that is
// not complete.
func readFolder(o *options, all *results) error {
	for rep := range o.reps {
		var files []string
		for _, g := range o.groups() {
			name := g.file(o.folder, rep)
			if _, err := os.Stat(name); err != nil && rep > 0 {
				return nil
			}
			files = append(files, name)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err == nil {
				err = all.read(bytes.NewReader(b), rep)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// group is one call of a program in each repetition.
type group struct {
	name    string
	program string
	args    []string
}

// groups returns what is measured. Only peers that exist are measured.
func groups(o *options) []group {
	clients, one, total, length, resumes, graphs := "10,100", "100", "2000", "50ms", "5", "chain:100,wide:100"
	if o.long {
		clients, one, total, length, resumes = "100,1000,5000", "1000", "600000", "2s", "200"
		graphs = "chain:1000,wide:1000,layered:10000,chain:100000,wide:100000"
	}
	ws := func(name, n, phases string, kinds ...string) group {
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return !slices.Contains(server.Kinds(), k) })
		return group{name, "wsload", []string{
			"-kinds", strings.Join(kinds, ","), "-n", n, "-phases", phases, "-reps", "1",
			"-total", total, "-length", length, "-resumes", resumes,
		}}
	}
	return []group{
		ws("fanout", clients, "ibpu", slices.Concat(streams, fanout)...),
		ws("each", one, "bpu", each...),
		ws("log", one, "cx", logs...),
		{"dag", "dag", []string{"-reps", "1", "-graphs", graphs, "-runners", strings.Join(runners, ",")}},
	}
}

func groupNames() (names []string) {
	for _, g := range groups(&options{}) {
		names = append(names, g.name)
	}
	return names
}

func (g *group) file(folder string, rep int) string {
	return filepath.Join(folder, g.name+"-"+strconv.Itoa(rep)+".csv")
}

// measure runs the program, writes its output to a file and adds its figures to all.
func (g *group) measure(bin, folder string, rep int, all *results) (err error) {
	args := slices.Clone(g.args)
	if g.program == "wsload" {
		args = append(args, "-server", filepath.Join(bin, "wsserver"))
	}
	file, err := os.Create(g.file(folder, rep))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := execute(file, filepath.Join(bin, g.program), args...); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return all.read(file, rep)
}

// execute runs a program.
func execute(out io.Writer, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}
