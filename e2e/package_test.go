//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// moduleMax is the maximum size of the JavaScript client, minified and gzipped, in bytes.
const moduleMax = 6272 // 128 bytes above the aim of 6 KiB: the mends of rare breaks need them

// tool runs a program in a folder, and returns what it prints.
func tool(t *testing.T, dir string, in []byte, name string, args ...string) []byte {
	t.Helper()
	out, diag, err := tried(t, dir, in, name, args...)
	require.NoError(t, err, "%s %s\n%s%s", name, args, out, diag)
	return out
}

// tried runs a program in a folder, and returns what it prints and how it ends. A program that
// hangs is killed.
func tried(t *testing.T, dir string, in []byte, name string, args ...string) (out, diag []byte, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.Bytes(), err
}

// installed returns the path of a program that e2e/run has installed.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("node_modules", ".bin", name))
	require.NoError(t, err)
	return path
}

// TestModuleAlone runs the tests of the JavaScript client, which need Node.js only.
func TestModuleAlone(t *testing.T) {
	files, err := filepath.Glob("../js/test/*.test.mjs")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	out, diag, err := tried(t, ".", nil, "node", append([]string{"--test", "--test-reporter=tap"}, files...)...)
	require.NoError(t, err, "%s%s", failed(out), diag)
	require.Regexp(t, `(?m)^# fail 0$`, string(out))
	require.Regexp(t, `(?m)^# skipped 0$`, string(out))
	require.NotRegexp(t, `(?m)^# pass \d$`, string(out), "there are some tests")
}

// notOK matches a test of TAP that failed, with its description. Each line after the first is indented.
var notOK = regexp.MustCompile(`(?m)^ *not ok .*\n(?: +.*\n| *\n)*`)

// failed returns the failed tests of a report in TAP, and its last lines: the counts. Hundreds of passed
// tests would hide them.
func failed(tap []byte) []byte {
	parts := append(notOK.FindAll(tap, -1), regexp.MustCompile(`(?m)^# (tests|pass|fail|cancelled) .*\n`).FindAll(tap, -1)...)
	return bytes.Join(parts, nil)
}

// TestFailed: what failed is shown, and nothing else.
func TestFailed(t *testing.T) {
	t.Parallel()
	const lost = "not ok 2 - b\n  ---\n  error: |-\n    1 !== 0\n    \n  stack: |-\n    at b\n  ...\n"
	got := failed([]byte("TAP version 13\n# Subtest: a\nok 1 - a\n  ---\n  duration_ms: 1\n  ...\n# Subtest: b\n" + lost + "# Subtest: c\nok 3 - c\n1..3\n# tests 3\n# fail 1\n"))
	require.Equal(t, lost+"# tests 3\n# fail 1\n", string(got))
}

// TestModuleSize: the README says how large the module is.
func TestModuleSize(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../js/nodebus.js")
	require.NoError(t, err)
	small := tool(t, ".", tool(t, ".", text, installed(t, "esbuild"), "--minify"), "gzip", "-9")
	t.Logf("%d bytes", len(small))
	require.LessOrEqual(t, len(small), moduleMax)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), fmt.Sprintf("%.1f kB", float64(len(small))/1000))
}

// TestModuleAsPackage installs the folder of the module as the package "nodebus", as a
// program does that has a bundler, or runs in Node.js.
func TestModuleAsPackage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, err := filepath.Abs("../js")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "node_modules"), 0o700))
	require.NoError(t, os.Symlink(folder, filepath.Join(dir, "node_modules", "nodebus")))
	for _, name := range []string{"sample.ts", "tsconfig.json"} {
		text, err := os.ReadFile(filepath.Join("module", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type":"module"}`), 0o600))
	const program = `import { Client, fold } from "nodebus"; console.log(typeof Client, fold(null, { type: "executing", data: { node: null, prompt_id: "p" } }).closed);`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "program.mjs"), []byte(program), 0o600))

	t.Run("tsc", func(t *testing.T) {
		tool(t, dir, nil, installed(t, "tsc"), "--project", dir)
		tool(t, dir, nil, installed(t, "tsc"), "--project", dir, "--module", "esnext", "--moduleResolution", "bundler")
	})
	t.Run("node", func(t *testing.T) {
		require.Equal(t, "function true\n", string(tool(t, dir, nil, "node", "program.mjs")))
	})
	t.Run("bundle", func(t *testing.T) {
		tool(t, dir, nil, installed(t, "esbuild"), "program.mjs", "--bundle", "--format=esm", "--outfile=bundle.mjs")
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "node_modules")))
		require.Equal(t, "function true\n", string(tool(t, dir, nil, "node", "bundle.mjs")))
	})
}
