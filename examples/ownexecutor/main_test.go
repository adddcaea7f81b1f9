package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestRun(t *testing.T) {
	var out strings.Builder
	run(&out)
	got := regexp.MustCompile(`"timestamp":\d+`).ReplaceAllString(out.String(), `"timestamp":0`)
	snapshots := regexp.MustCompile(`\{"type":"progress_state",.*\n`)
	require.Len(t, snapshots.FindAllString(got, -1), 6, "each node begins and ends")
	got = snapshots.ReplaceAllString(got, "")
	require.Equal(t, `{"type":"status","data":{"status":{"exec_info":{"queue_remaining":1}}}}
{"type":"status","data":{"status":{"exec_info":{"queue_remaining":1}}}}
{"type":"execution_start","data":{"prompt_id":"sum","timestamp":0}}
{"type":"execution_cached","data":{"nodes":[],"prompt_id":"sum","timestamp":0}}
{"type":"executing","data":{"node":"1","display_node":"1","prompt_id":"sum"}}
{"type":"executing","data":{"node":"2","display_node":"2","prompt_id":"sum"}}
{"type":"executing","data":{"node":"3","display_node":"3","prompt_id":"sum"}}
{"type":"executed","data":{"node":"3","display_node":"3","output":{"text":["7"]},"prompt_id":"sum"}}
{"type":"execution_success","data":{"prompt_id":"sum","timestamp":0}}
{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}}}}
{"type":"executing","data":{"node":null,"prompt_id":"sum"}}
success <nil>
`, got)
}

// TestConform checks that the small executor keeps the contract of every executor.
func TestConform(t *testing.T) {
	conform.Executor(t, func(_ *testing.T, r *flow.Registry) nodebus.Executor {
		return sequential{r}
	}, &conform.Claims{Hidden: true, Values: true, Throttled: true, Snapshots: true, Dynamic: true})
}
