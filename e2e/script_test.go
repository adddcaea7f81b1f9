//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// run runs a script of this folder until it ends, at most four minutes, and
// returns the lines in which it says what it saw: those are JSON objects that
// begin with the member "scenario". It must end well.
func run(t *testing.T, command string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its children end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	err := cmd.Run()
	require.NoError(t, err, "%s\n%s%s", cmd, out.String(), diag.String())

	var lines []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(strings.ReplaceAll(line, " ", ""), `{"scenario":`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// requireLines compares what a script saw with the lines of a file, in which
// names of what is not the same in every run are replaced first.
func requireLines(t *testing.T, file string, names *strings.Replacer, saw []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	want := strings.Split(strings.TrimSpace(names.Replace(string(text))), "\n")
	require.Len(t, saw, len(want), "%s", saw)
	for i := range want {
		require.JSONEq(t, want[i], saw[i])
	}
}
