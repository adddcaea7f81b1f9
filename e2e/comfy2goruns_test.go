//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/richinsley/comfy2go/client"
	"github.com/stretchr/testify/require"
)

// goRun is what the handlers of one prompt were told.
type goRun struct {
	prompt   string
	events   []string
	data     []client.DataOutput
	states   map[string]client.NodeProgressInfo // the last ones
	failed   client.PromptMessageStoppedException
	complete bool
}

func (r *goRun) say(format string, args ...any) {
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

// handlers are all handlers that the client has. executing is called with each node, and
// progress with each progress that is not the last.
func (r *goRun) handlers(executing func(node string), progress func()) *client.MessageHandlers {
	return client.DefaultMessageHandlers().
		WithStartedHandler(func(m *client.PromptMessageStarted) {
			r.prompt = m.PromptID
			r.say("started")
		}).
		WithExecutingHandler(func(m *client.PromptMessageExecuting) {
			r.say("%s %s", m.NodeID, m.Title)
			executing(m.NodeID)
		}).
		WithProgressHandler(func(m *client.PromptMessageProgress) {
			r.say("%d/%d", m.Value, m.Max)
			if m.Value < m.Max {
				progress()
			}
		}).
		WithProgressStateHandler(func(m *client.PromptMessageProgressState) { r.states = m.Nodes }).
		WithDataHandler(func(m *client.PromptMessageData) {
			for key, outputs := range m.Data {
				r.say("%s of %s", key, m.NodeID)
				r.data = append(r.data, outputs...)
			}
		}).
		WithExecutionSuccessHandler(func(m *client.PromptMessageExecutionSuccess) { r.say("success: %v", m.Timestamp > 0) }).
		WithErrorHandler(func(m *client.PromptMessageStoppedException) { r.failed = *m }).
		WithStoppedHandler(func(*client.PromptMessageStopped) { r.say("stopped") }).
		WithCompleteHandler(func() { r.complete = true })
}

// goGraph is the workflow of a chain of nodes, each with its class, its output's type, and its widgets.
func goGraph(nodes ...[3]string) string {
	var all, links []string
	for i, n := range nodes {
		in, out := "[]", "[]"
		if i > 0 {
			in = fmt.Sprintf(`[{"name": %q, "type": "*", "link": %d}]`, goInputs[n[0]], i)
			links = append(links, fmt.Sprintf(`[%d, %d, 0, %d, 0, %q]`, i, i, i+1, nodes[i-1][1]))
		}
		if i < len(nodes)-1 {
			out = fmt.Sprintf(`[{"name": "out", "type": %q, "links": [%d]}]`, n[1], i+1)
		}
		all = append(all, fmt.Sprintf(`{"id": %d, "type": %q, "pos": [%d, 0], "size": [100, 100], "flags": {}, "order": %d, "mode": 0,
			"title": %q, "properties": {}, "inputs": %s, "outputs": %s, "widgets_values": [%s]}`, i+1, n[0], 200*i, i, "my "+n[0], in, out, n[2]))
	}
	return fmt.Sprintf(`{"last_node_id": 9, "last_link_id": 9, "nodes": [%s], "links": [%s],
		"groups": [{"title": "API", "bounding": [0, 0, 900, 900], "color": "#fff"}], "version": 0.4}`, strings.Join(all, ","), strings.Join(links, ","))
}

// goInputs names the input of each class that a link leads to.
var goInputs = map[string]string{"Develop": "image", "SaveImage": "images", "Gate": "value", "RefRaise": "value", "RefOutput": "value"}

var (
	goPicture = goGraph([3]string{"Fractal", "IMAGE", "32, 24"}, [3]string{"Develop", "IMAGE", "4"}, [3]string{"SaveImage", "", `"picture"`})
	goQuick   = goGraph([3]string{"Fractal", "IMAGE", "8, 8"}, [3]string{"SaveImage", "", `"quick"`})
	goFailing = goGraph([3]string{"StubInt", "INT", "1"}, [3]string{"RefRaise", "*", `"no luck"`}, [3]string{"RefOutput", "", ""})
	goEndless = goGraph([3]string{"StubInt", "INT", "1"}, [3]string{"Gate", "*", ""}, [3]string{"RefOutput", "", ""})
	goInvalid = goGraph([3]string{"Fractal", "IMAGE", "32, 4000"}, [3]string{"SaveImage", "", `"invalid"`})
)

// follow runs a graph as comfy2go recommends it.
func (g *goClient) follow(t *testing.T, graph string, executing func(node string)) (*goRun, error) {
	t.Helper()
	workflow, missing, err := g.NewGraphFromJsonString(graph)
	require.NoError(t, err)
	require.Nil(t, missing)
	r := &goRun{}
	err = g.QueuePromptAndProcess(workflow, r.handlers(executing, g.goOn))
	require.True(t, r.complete)
	return r, err
}

// goRunsPicture follows a graph, again when all is cached, and as a file with the graph in it.
func goRunsPicture(t *testing.T, g *goClient) {
	r, err := g.follow(t, goPicture, func(node string) {
		if node == "2" {
			g.goOn()
		}
	})
	require.NoError(t, err)
	require.Equal(t, []string{"started", "1 Fractal", "2 Develop", "1/4", "2/4", "3/4", "4/4", "3 Save Image", "images of 3", "success: true", "stopped"}, r.events)
	require.Equal(t, []client.DataOutput{{Filename: "picture_00001_.png", Type: "output"}}, r.data)
	require.Equal(t, client.NodeProgressInfo{Value: 4, Max: 4, State: "finished", NodeID: "2", DisplayNodeID: "2", RealNodeID: "2"}, r.states["2"])
	require.Equal(t, []string{"started", "data of 3", "stopped: finished"}, g.callbacks(r.prompt))

	path := filepath.Join(g.server.output, "picture_00001_.png")
	workflow, _, err := g.NewGraphFromPNGFile(path)
	require.NoError(t, err)
	again, err := os.Open(path)
	require.NoError(t, err)
	defer again.Close()
	same, _, err := g.NewGraphFromPNGReader(again)
	require.NoError(t, err)
	first, err := workflow.GraphToJSON()
	require.NoError(t, err)
	second, err := same.GraphToJSON()
	require.NoError(t, err)
	require.Equal(t, first, second)
	_, err = again.Seek(0, 0)
	require.NoError(t, err)
	metadata, err := client.GetPngMetadata(again)
	require.NoError(t, err)
	require.JSONEq(t, first, metadata["workflow"])

	fast := newGoClient(t, g.server)
	for range 5 { // nothing has to be computed: each ends as soon as it begins
		item, err := fast.QueuePrompt(workflow)
		require.NoError(t, err)
		r = &goRun{}
		require.NoError(t, item.ProcessMessages(r.handlers(nil, nil)))
		item.Close()
		require.Equal(t, []string{"started", "images of 3", "success: true", "stopped"}, r.events)
		require.Equal(t, []string{"started", "data of 3", "stopped: finished"}, fast.callbacks(r.prompt))
	}
}

// goEnds: prompts that fail, that are interrupted, and that are refused.
func goEnds(t *testing.T, g *goClient) {
	r, err := g.follow(t, goFailing, func(string) {})
	require.EqualError(t, err, "execution failed: error - no luck\n")
	require.Equal(t, []string{"started", "1 Stub Int", "2 RefRaise", "stopped"}, r.events)
	require.Equal(t, "2 my RefRaise RefRaise", fmt.Sprint(r.failed.NodeID, " ", r.failed.NodeName, " ", r.failed.NodeType))
	require.Equal(t, []string{"started", "stopped: error"}, g.callbacks(r.prompt)[:2], "it may read on")

	r, err = g.follow(t, goEndless, func(node string) {
		if node == "2" {
			waiting, err := g.GetQueueExecutionInfo()
			require.NoError(t, err)
			require.Equal(t, 1, waiting.ExecInfo.QueueRemaining)
			require.NoError(t, g.Interrupt())
		}
	})
	require.NoError(t, err)
	require.Equal(t, []string{"started", "2 Gate", "stopped"}, r.events, "the first node is cached")
	require.Equal(t, []string{"started", "stopped: interrupted"}, g.callbacks(r.prompt)[:2])

	workflow, _, err := g.NewGraphFromJsonReader(strings.NewReader(goInvalid))
	require.NoError(t, err)
	item, err := g.QueuePrompt(workflow)
	require.NoError(t, err, "the client does not look at the status")
	item.Close()
	require.Empty(t, item.PromptID)
	require.Contains(t, item.NodeErrors, "1")
	require.Empty(t, g.callbacks(""))
}

// goLeavesOpen: the client opens a socket for each prompt, all with its own id, and a program
// that does not close them has many. It still hears of each prompt on the newest.
func goLeavesOpen(t *testing.T, g *goClient) {
	for range 40 {
		r, err := g.follow(t, goQuick, func(string) {})
		require.NoError(t, err)
		require.Equal(t, []string{"images of 2", "success: true", "stopped"}, r.events[len(r.events)-3:])
	}
}

// goHistory prepares the request itself, and looks for the prompt while it waits and when it has ended.
func goHistory(t *testing.T, g *goClient) {
	path := filepath.Join(t.TempDir(), "workflow.json")
	require.NoError(t, os.WriteFile(path, []byte(goQuick), 0o600))
	workflow, _, err := g.NewGraphFromJsonFile(path)
	require.NoError(t, err)
	require.NotNil(t, workflow.GetSimpleAPI(nil).Properties["my Fractal"])
	require.NoError(t, workflow.GetFirstNodeWithTitle("my SaveImage").GetPropertyWithName("filename_prefix").SetValue("history"))
	prompt, err := g.GeneratePrompt(workflow)
	require.NoError(t, err)
	require.Equal(t, "history", prompt.Nodes["2"].Inputs["filename_prefix"])
	item, err := g.QueueRawPrompt(workflow, prompt)
	require.NoError(t, err)
	require.Same(t, item, g.GetQueuedItem(item.PromptID))
	require.NoError(t, item.ProcessMessages(nil))
	item.Close()
	require.Nil(t, g.GetQueuedItem(item.PromptID))

	byID, err := g.GetPromptHistoryByID()
	require.NoError(t, err)
	entry := byID[item.PromptID]
	require.Equal(t, map[int][]client.DataOutput{2: {{Filename: "history_00001_.png", Type: "output"}}}, entry.Outputs)
	require.Len(t, entry.Graph.Nodes, 2)
	byIndex, err := g.GetPromptHistoryByIndex()
	require.NoError(t, err)
	require.Len(t, byIndex, len(byID))
	require.Equal(t, item.PromptID, byIndex[len(byIndex)-1].PromptID, "the newest is the last")

	require.NoError(t, g.EraseHistoryItem(item.PromptID))
	byID, err = g.GetPromptHistoryByID()
	require.NoError(t, err)
	require.Len(t, byID, len(byIndex)-1)
	require.NotContains(t, byID, item.PromptID)
	require.NoError(t, g.EraseHistory())
	byID, err = g.GetPromptHistoryByID()
	require.NoError(t, err)
	require.Empty(t, byID)
}
