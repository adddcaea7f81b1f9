//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// moduleMax is the maximum size of the JavaScript client, minified and gzipped, in bytes.
const moduleMax = 6272 // 128 bytes above the aim of 6 KiB: the mends of rare breaks need them

// tool runs a program in a folder, and returns what it prints.
func tool(t *testing.T, dir string, in []byte, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	require.NoError(t, cmd.Run(), "%s\n%s%s", cmd, out.String(), diag.String())
	return out.Bytes()
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
	out := tool(t, ".", nil, "node", append([]string{"--test", "--test-reporter=tap"}, files...)...)
	require.Regexp(t, `(?m)^# fail 0$`, string(out))
	require.Regexp(t, `(?m)^# skipped 0$`, string(out))
	require.NotRegexp(t, `(?m)^# pass \d$`, string(out), "there are some tests")
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
