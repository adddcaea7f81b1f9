//go:build linux

// Command wsserver is the server of the WebSocket benchmark. wsload starts it. Package
// server describes the commands that it reads.
package main

import (
	"fmt"
	"os"

	"github.com/nodebus/nodebus/bench/ws/server"
)

func main() {
	if err := server.Main(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "wsserver:", err)
		os.Exit(1)
	}
}
