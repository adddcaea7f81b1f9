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

// run runs a script of this folder to its end. The script fails after ten minutes, or
// if it exits with an error. run returns the script's observations: the lines that are
// JSON objects and begin with the member "scenario".
func run(t *testing.T, command string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a process group, so that child processes end with the script
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

// requireLines compares the observations of a script with the lines of a file. names
// first replaces placeholders in the file, because some values differ in each run.
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
