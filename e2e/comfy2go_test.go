//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/richinsley/comfy2go/client"
	"github.com/stretchr/testify/require"
)

// goClient is a client of the module comfy2go, and what its callbacks were told.
type goClient struct {
	*client.ComfyClient

	server *server
	mu     sync.Mutex
	told   map[string][]string // by prompt
	counts []int               // lengths of the queue
}

func newGoClient(t *testing.T, s *server) *goClient {
	t.Helper()
	host, port, err := net.SplitHostPort(s.address)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	g := &goClient{server: s, told: map[string][]string{}}
	tell := func(item *client.QueueItem, what string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.told[item.PromptID] = append(g.told[item.PromptID], what)
	}
	g.ComfyClient = client.NewComfyClientWithTimeout(host, number, &client.ComfyClientCallbacks{
		ClientQueueCountChanged: func(_ *client.ComfyClient, n int) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.counts = append(g.counts, n)
		},
		QueuedItemStarted: func(_ *client.ComfyClient, item *client.QueueItem) { tell(item, "started") },
		QueuedItemStopped: func(_ *client.ComfyClient, item *client.QueueItem, why client.QueuedItemStoppedReason) {
			tell(item, "stopped: "+string(why))
		},
		QueuedItemDataAvailable: func(_ *client.ComfyClient, item *client.QueueItem, data *client.PromptMessageData) {
			tell(item, "data of "+data.NodeID)
		},
	}, 10, 3)
	return g
}

// callbacks returns what the callbacks were told of a prompt.
func (g *goClient) callbacks(prompt string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.told[prompt])
}

// goOn lets a node go on that waits for that. It runs in handlers of the client.
func (g *goClient) goOn() {
	answer, err := http.Post("http://"+g.server.address+"/step", "", nil)
	if err != nil {
		panic(err)
	}
	_ = answer.Body.Close()
}

// TestComfy2go uses each call of the Go client comfy2go. Its graphs are in comfy2goruns_test.go.
func TestComfy2go(t *testing.T) {
	t.Parallel()
	for range *repeats {
		goRuns(t)
	}
}

func goRuns(t *testing.T) {
	metadata := `{"__metadata__": {"title": "lines"}}`
	model := append(binary.LittleEndian.AppendUint64(nil, uint64(len(metadata))), metadata...)
	s := serve(t, flow.NewCache(nil), comfy.Options{
		Models: map[string]fs.FS{
			"loras":      fstest.MapFS{"lines.safetensors": {Data: model}},
			"embeddings": fstest.MapFS{"bright.pt": {Data: []byte("x")}},
		},
		Extensions: map[string]fs.FS{"pack": fstest.MapFS{"x.js": {Data: []byte("export {}")}}},
	})
	t.Run("connects", func(t *testing.T) { goConnects(t, newGoClient(t, s)) })
	t.Run("lists", func(t *testing.T) { goLists(t, newGoClient(t, s)) })
	t.Run("files", func(t *testing.T) { goFiles(t, newGoClient(t, s)) })
	t.Run("picture", func(t *testing.T) { goRunsPicture(t, newGoClient(t, s)) })
	t.Run("ends", func(t *testing.T) { goEnds(t, newGoClient(t, s)) })
	t.Run("open", func(t *testing.T) { goLeavesOpen(t, newGoClient(t, s)) })
	t.Run("history", func(t *testing.T) { goHistory(t, newGoClient(t, s)) })
}

// TestComfy2goComplete: the two files of the test name each method of the client, of its
// queued prompts, and of its handlers.
func TestComfy2goComplete(t *testing.T) {
	used := map[string]bool{}
	for _, name := range []string{"comfy2go_test.go", "comfy2goruns_test.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.SelectorExpr); ok {
					used[f.Sel.Name] = true
				}
			}
			return true
		})
	}
	methods := 0
	for _, of := range []any{&client.ComfyClient{}, &client.QueueItem{}, &client.MessageHandlers{}} {
		for i := range reflect.TypeOf(of).NumMethod() {
			require.Contains(t, used, reflect.TypeOf(of).Method(i).Name)
			methods++
		}
	}
	require.Equal(t, 43, methods)
}

// goConnects: a socket of the client hands each message to it.
func goConnects(t *testing.T, g *goClient) {
	require.False(t, g.IsInitialized())
	require.NoError(t, g.Init())
	require.True(t, g.IsInitialized())
	require.NoError(t, g.CheckConnection())
	require.NotEqual(t, g.ClientID(), newGoClient(t, g.server).ClientID())

	requests := 0
	g.SetHttpClient(&http.Client{Transport: counted{&requests}})
	require.NotNil(t, g.HttpClient().Transport)
	_, err := g.GetSystemStats()
	require.NoError(t, err)
	require.Equal(t, 1, requests)

	socket := &client.WebSocketConnection{WebSocketURL: "ws://" + g.server.address + "/ws?clientId=" + g.ClientID()}
	require.NoError(t, socket.Connect(10))
	socket.HandleMessages(func(message string) {
		g.OnWindowSocketMessage(message, nil)
		if strings.Contains(message, `"status"`) {
			socket.Close()
		}
	})
	require.Equal(t, []int{0}, g.counts)
}

// counted counts requests.
type counted struct{ n *int }

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	*c.n++
	return http.DefaultTransport.RoundTrip(r)
}

func goLists(t *testing.T, g *goClient) {
	objects, err := g.GetObjectInfos()
	require.NoError(t, err)
	require.Equal(t, "Fractal", objects.GetNodeObjectByName("Fractal").DisplayName)
	names := make([]string, 0, 2)
	for _, p := range objects.GetNodeObjectByName("Fractal").GetSettableProperties() {
		names = append(names, p.Name())
	}
	require.Equal(t, []string{"width", "height"}, names, "in the order of the widgets")

	stats, err := g.GetSystemStats()
	require.NoError(t, err)
	require.NotEmpty(t, stats.System.OS)
	embeddings, err := g.GetEmbeddings()
	require.NoError(t, err)
	require.Equal(t, []string{"bright"}, embeddings)
	extensions, err := g.GetExtensions()
	require.NoError(t, err)
	require.Equal(t, []string{"/extensions/pack/x.js"}, extensions)
	metadata, err := g.GetViewMetadata("loras", "lines.safetensors")
	require.NoError(t, err)
	require.JSONEq(t, `{"title": "lines"}`, metadata)
	waiting, err := g.GetQueueExecutionInfo()
	require.NoError(t, err)
	require.Zero(t, waiting.ExecInfo.QueueRemaining)
}

// goFiles uploads a picture in each way, and reads it back.
func goFiles(t *testing.T, g *goClient) {
	name, err := g.UploadImage(image.NewGray(image.Rect(0, 0, 8, 8)), "grey.png", true, client.InputImageType, "deep", nil)
	require.NoError(t, err)
	require.Equal(t, "grey.png", name)
	grey, err := g.GetImage(client.DataOutput{Filename: name, Subfolder: "deep", Type: "input"})
	require.NoError(t, err)
	read, _, err := image.Decode(bytes.NewReader(*grey))
	require.NoError(t, err)
	require.Equal(t, 8, read.Bounds().Dx())

	path := filepath.Join(t.TempDir(), "text.bin")
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o600))
	name, err = g.UploadFileFromPath(path, false, client.TempImageType, "", nil)
	require.NoError(t, err)
	require.Equal(t, "text.bin", name)
	name, err = g.UploadFileFromReader(strings.NewReader("two"), name, false, client.TempImageType, "", nil)
	require.NoError(t, err)
	require.Equal(t, "text (1).bin", name, "another file with that name is there")
	two, err := g.GetImage(client.DataOutput{Filename: name, Type: string(client.TempImageType)})
	require.NoError(t, err)
	require.Equal(t, "two", string(*two))
}
