//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCluster uses the page of contrib/nats/examples/cluster. In the middle of a run, the
// process that the page is connected to is killed.
func TestCluster(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "cluster")
	said, err := exec.Command("go", "build", "-o", program, "github.com/nodebus/nodebus/contrib/nats/examples/cluster").CombinedOutput()
	require.NoError(t, err, "%s", said)
	cmd := exec.Command(program, "-listen", "127.0.0.1:0", "-dir", t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var reading sync.WaitGroup
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		reading.Wait()
		require.NoError(t, cmd.Wait())
	})

	var mu sync.Mutex
	pids, page := map[int]int{}, 0 // the processes by number, and the number of the page's
	open := make(chan string, 1)   // the address of the page, or nothing if the program has ended
	reading.Go(func() {
		defer close(open)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var number, pid int
			var address string
			mu.Lock()
			if n, _ := fmt.Sscanf(lines.Text(), "process %d is ready (pid %d)", &number, &pid); n == 2 {
				pids[number] = pid
			} else if n, _ := fmt.Sscanf(lines.Text(), "a browser connects to process %d", &number); n == 1 {
				page = number
			} else if n, _ := fmt.Sscanf(lines.Text(), "Open http://%s", &address); n == 1 {
				open <- address
			}
			mu.Unlock()
		}
	})
	address, began := <-open
	require.True(t, began, "the program has ended")
	killer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		p, err := os.FindProcess(pids[page])
		if err == nil {
			err = p.Kill()
		}
		_, _ = fmt.Fprint(w, page, " ", err)
	}))
	defer killer.Close()
	run(t, "node", "browser/cluster.mjs", address, killer.URL, "shots")
}
