//go:build e2e

package e2e

import (
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWebpage uses the page of examples/webpage. It writes screenshots to the folder shots.
func TestWebpage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "webpage")
	out, err := exec.Command("go", "build", "-o", program, "github.com/nodebus/nodebus/examples/webpage").CombinedOutput()
	require.NoError(t, err, "%s", out)
	run(t, "node", "browser/webpage.mjs", startProgram(t, "", program, "/page/"), "shots")
}

// startProgram starts a program in a folder. The program serves at the address in the
// variable ADDRESS. startProgram returns the address when the program answers.
func startProgram(t *testing.T, folder, path, route string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = listener.Addr().String()
	require.NoError(t, listener.Close())
	cmd := exec.Command(path)
	cmd.Dir = folder
	cmd.Env = append(cmd.Environ(), "ADDRESS="+address)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for {
		if res, err := http.Get("http://" + address + route); err == nil {
			_ = res.Body.Close()
			require.Equal(t, http.StatusOK, res.StatusCode)
			http.DefaultClient.CloseIdleConnections()
			return address
		}
		select {
		case <-ended:
			require.Fail(t, "the program has ended")
		default:
		}
	}
}
