// Quickstart runs a workflow of ten nodes on a picture and watches the events over a
// real WebSocket, in the same program: progress, previews, results, and a custom
// message from one of the nodes. Then it runs the workflow again, to show which nodes
// are cached.
//
//	go run ./examples/quickstart                        # uses the picture and workflow in this folder
//	go run ./examples/quickstart -workflow FILE         # another workflow: JSON in ComfyUI's API format
//	go run ./examples/quickstart -listen localhost:8188 # keeps running: a page at this address shows further runs
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/nodebus/nodebus/client"
)

//go:embed picture.jpg workflow.json page.html
var files embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	workflow := flags.String("workflow", "", "a workflow `file`; pictures are read from the same folder")
	results := flags.String("out", filepath.Join(os.TempDir(), "nodebus-quickstart"), "the `folder` for results")
	listen := flags.String("listen", "", "after the two runs, keep serving at this `address`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder, name := fs.FS(files), "workflow.json"
	if *workflow != "" {
		folder, name = os.DirFS(filepath.Dir(*workflow)), filepath.Base(*workflow)
	}
	data, err := fs.ReadFile(folder, name)
	if err != nil {
		return err
	}

	h, err := start(ctx, folder, *results, *listen, data)
	if err != nil {
		return err
	}
	defer h.stop()
	c, err := client.Dial(ctx, "ws://"+h.address+"/ws", nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, title := range []string{"First run", "Again: what has not changed is not computed"} {
		fmt.Fprintln(out, title)
		if err := watch(ctx, h.engine, c, data, out); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "The results are in", *results)
	if *listen != "" {
		fmt.Fprintf(out, "Open http://%s in a browser; stop with Ctrl-C\n", h.address)
		<-ctx.Done()
	}
	return nil
}
