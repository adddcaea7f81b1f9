//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWebpage uses the page of examples/webpage. It writes screenshots to the folder shots.
func TestWebpage(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "webpage")
	out, err := exec.Command("go", "build", "-o", program, "github.com/nodebus/nodebus/examples/webpage").CombinedOutput()
	require.NoError(t, err, "%s", out)
	run(t, "node", "browser/webpage.mjs", startProgram(t, "", program, "/page/"), "shots")
}

// unusedAddress returns an address at which nobody listens. Its port is below those that the
// system gives to sockets by itself, so that no other socket takes it before the program does.
func unusedAddress(t *testing.T) string {
	t.Helper()
	for {
		address := fmt.Sprint("127.0.0.1:", 10000+rand.IntN(20000))
		if listener, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, listener.Close())
			return address
		}
	}
}

// startProgram starts a program in a folder. The program serves at the address in the
// variable ADDRESS. startProgram returns the address when the program answers.
func startProgram(t *testing.T, folder, path, route string) (address string) {
	t.Helper()
	address = unusedAddress(t)
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
