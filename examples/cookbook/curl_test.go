package cookbook_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// curlPattern matches a command that sends a body with curl, as the page writes it.
var curlPattern = regexp.MustCompile(`(?s)\bcurl (http://127\.0\.0\.1:8188)(\S+) -d '(.*?)'\n`)

// TestCurl sends what the commands of the page send, without curl: a prompt and a yes, then a
// prompt and a refusal.
func TestCurl(t *testing.T) {
	text, err := os.ReadFile(pagePath)
	require.NoError(t, err)
	commands := curlPattern.FindAllStringSubmatch(string(text), -1)
	require.Len(t, commands, strings.Count(string(text), "curl http"), "the page has a command that this test cannot read")
	require.Len(t, commands, 3)

	for answer, state := range map[int]nodebus.State{1: nodebus.Succeeded, 2: nodebus.Refused} {
		registry, hub := classes(nil), nodebus.NewHub(nil)
		flow.Register(registry, Approve{}, nodebus.Info{})
		engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Parallel: 1})
		server := httptest.NewServer(comfy.New(engine, nil))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = engine.Run(ctx) })
		for _, i := range []int{0, answer} {
			// curl -d sends this Content-Type.
			res, err := http.Post(server.URL+commands[i][2], "application/x-www-form-urlencoded", strings.NewReader(commands[i][3]))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, res.StatusCode, commands[i][0])
			require.NoError(t, res.Body.Close())
		}
		outcome, err := engine.Wait(ctx, "p")
		require.NoError(t, err)
		require.Equal(t, state, outcome.State)
		if state == nodebus.Refused {
			require.EqualError(t, outcome.Err(), "nodebus: refused: too early")
		}
		stop()
		running.Wait()
		require.NoError(t, hub.Close())
		server.Close()
	}
}
