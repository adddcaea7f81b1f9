// Package info tells what the server is: its classes, its features and its machine.
package info

import (
	"log/slog"

	"github.com/nodebus/nodebus/flow"
)

// Info serves the routes that describe the server. Its fields must not change once it serves.
type Info struct {
	Registry *flow.Registry
	Version  string         // the version of ComfyUI that the server reports
	MaxBody  int64          // of an upload, in bytes
	Extra    map[string]any // feature flags of the host program
	Logger   *slog.Logger
}
