package main

import (
	"os"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) { // the durations are exact
		var out strings.Builder
		run(&out)
		require.Equal(t, `prompt first err=<nil> 30ms
  Crawl map[pages:3] cached=false err=<nil> 30ms
    Fetch map[page:1] cached=false err=<nil> 10ms
    Fetch map[page:2] cached=false err=<nil> 20ms
    Fetch map[page:3] cached=false err=<nil> 30ms
prompt again err=<nil> 0s
  Crawl map[pages:3] cached=true err=<nil> 0s
`, out.String())
	})
}
