package nodebus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// goPackage is a package in the output of go list.
type goPackage struct {
	ImportPath string
	Dir        string
	Export     string   // file with the compiled declarations, in the build cache
	GoFiles    []string // names of the source files for this system, no tests
}

// listPackages returns the packages of this module and all packages that they import,
// by import path. The go command compiles them first; this is quick, because they are
// compiled already for the tests.
var listPackages = sync.OnceValues(func() (map[string]goPackage, error) {
	return goList("-export", "-deps", "./...")
})

// goList runs go list with these arguments. With -export, the go command compiles the
// packages. A package that does not compile has no Export, so that tests of other packages
// can run.
func goList(args ...string) (map[string]goPackage, error) {
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Dir,Export,GoFiles"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	listed := map[string]goPackage{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return listed, nil
		case err != nil:
			return nil, err
		}
		listed[p.ImportPath] = p
	}
}

// newImporter returns an importer that reads compiled declarations instead of sources.
// It caches the declarations. It is not safe for concurrent use.
func newImporter(t *testing.T, fset *token.FileSet) types.Importer {
	t.Helper()
	listed, err := listPackages()
	require.NoError(t, err)
	return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		p, ok := listed[path]
		if !ok { // a package that only a page uses
			found, err := goList("-export", path)
			if err != nil {
				return nil, err
			}
			p = found[path]
		}
		if p.Export == "" {
			return nil, fmt.Errorf("%s does not compile", path)
		}
		return os.Open(p.Export)
	})
}

// importPath returns the import path of a folder of this module.
func importPath(dir string) string {
	if dir == "." {
		return modulePath
	}
	return modulePath + "/" + dir
}

// everyGoFile lists the Go files of this repository, including tests and the
// modules in folders. It leaves out test data and hidden folders.
func everyGoFile(t *testing.T) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go"):
			paths = append(paths, path)
		}
		return nil
	}))
	return paths
}

// TestNothingOfContrib: a program links a database only if it imports the package of contrib
// that uses the database. No package of this module imports one, also not for its tests.
func TestNothingOfContrib(t *testing.T) {
	listed, err := goList("-deps", "-test", "./...")
	require.NoError(t, err)
	require.Contains(t, listed, modulePath+"/flow")
	for path := range listed {
		require.NotContains(t, path, "go.etcd.io", "go list -deps ./...")
		require.NotContains(t, path, modulePath+"/contrib/")
	}
}
