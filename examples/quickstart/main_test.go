package main

import (
	"bufio"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

// TestMain runs the program instead of the tests if RUN_QUICKSTART is set.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_QUICKSTART") != "" {
		main()
		return
	}
	os.Exit(leak.Main(m))
}

// TestHelp checks that -h prints help and ends with status 0.
func TestHelp(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-h")
	cmd.Env = append(os.Environ(), "RUN_QUICKSTART=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), "-workflow file")
}

func TestQuickstart(t *testing.T) {
	folder := t.TempDir()
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"-out", folder}, &out))
	first, second, ok := strings.Cut(out.String(), "Again: what has not changed is not computed\n")
	require.True(t, ok)
	for _, line := range []string{
		"First run",
		"  cached                        none",
		"  executing        3 Blur",
		"  progress         3 Blur       6 of 6",
		"  picture.palette  8 Describe   #67575d",
		"  executed         8 Describe   text 720×480 pixels, on average #67575d",
		"  executed         9 Save       images glow.png",
		"  executed         10 Save      images blur.png",
		"  success", "  closed",
	} {
		require.Contains(t, first, line+"\n")
	}
	// A preview that is not yet encoded is replaced by the next, or dropped when the node ends.
	require.LessOrEqual(t, strings.Count(first, "  preview          3 Blur       image/jpeg, "), 6)
	require.NotContains(t, first, "6 Grayscale", "the branch that Switch does not choose never runs")
	require.Contains(t, second, "  cached                        1 2 3 4 5 7 8 9 10\n")
	require.NotContains(t, second, "executing")
	require.True(t, strings.HasSuffix(second, "The results are in "+folder+"\n"))
	source, err := files.Open("picture.jpg")
	require.NoError(t, err)
	picture, err := jpeg.Decode(source)
	require.NoError(t, err)
	for name, want := range map[string][]float64{"glow.png": {0x67, 0x57, 0x5d}, "blur.png": mean(picture)} {
		f, err := os.Open(filepath.Join(folder, name))
		require.NoError(t, err)
		img, err := png.Decode(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, 720, img.Bounds().Dx())
		require.InDeltaSlice(t, want, mean(img), 1.5, name)
	}
}

func mean(img image.Image) []float64 {
	var r, g, b float64
	size := img.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			r, g, b = r+float64(c.R), g+float64(c.G), b+float64(c.B)
		}
	}
	n := float64(size.X * size.Y)
	return []float64{r / n, g / n, b / n}
}

func TestBadWorkflows(t *testing.T) {
	for name, c := range map[string]struct{ workflow, want string }{
		"not JSON":      {`{"1":`, "nodebus: The prompt is not a JSON object of nodes: unexpected end of JSON input"},
		"unknown class": {`{"1":{"class_type":"Paint","inputs":{}}}`, "Node 'Paint' not found. The custom node may not be installed. Node ID '#1'"},
		"broken": {
			`{"1":{"class_type":"Load","inputs":{"path":"../x"}},"2":{"class_type":"Blur","inputs":{"picture":["1",0],"radius":0}},"3":{"class_type":"Save","inputs":{"picture":["2",0],"name":"a/b"}}}`,
			"Prompt outputs failed validation\n" +
				"  node 1 (Load): Custom validation failed for node: path - \"../x\" is not a path within the folder\n" +
				"  node 2 (Blur): Value 0 smaller than min of 1: radius\n" +
				"  node 3 (Save): Custom validation failed for node: name - \"a/b\" is not the name of a file",
		},
		"no such picture": {
			`{"1":{"class_type":"Load","inputs":{"path":"none.jpg"}},"3":{"class_type":"Save","inputs":{"picture":["1",0],"name":"a"}}}`,
			"node 1 (Load) failed: open none.jpg: no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "workflow.json")
			require.NoError(t, os.WriteFile(file, []byte(c.workflow), 0o600))
			err := run(t.Context(), []string{"-workflow", file, "-out", t.TempDir()}, io.Discard)
			require.ErrorContains(t, err, c.want)
		})
	}
	require.Error(t, run(t.Context(), []string{"-workflow", "nowhere.json"}, io.Discard))
	require.Error(t, run(t.Context(), []string{"-listen", "nowhere:99999999"}, io.Discard))
}

// TestListen checks that the page is served, and that its requests work.
func TestListen(t *testing.T) {
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-listen", "127.0.0.1:0", "-out", t.TempDir()}, w) }()
	url := ""
	for out := bufio.NewScanner(r); url == "" && out.Scan(); {
		if after, ok := strings.CutPrefix(out.Text(), "Open "); ok {
			url, _, _ = strings.Cut(after, " ")
		}
	}
	c, err := client.Dial(ctx, url+"/ws", nil)
	require.NoError(t, err)
	for path, want := range map[string]string{"/": "<title>nodebus quickstart</title>", "/results/glow.png": "PNG", "/workflow": `"class_type": "Vignette"`} {
		res, err := http.Get(url + path)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Contains(t, string(body), want)
	}
	for path, cached := range map[string]int{"/run": 9, "/run?fresh": 0} {
		res, err := http.PostForm(url+path, map[string][]string{"client": {c.ID()}})
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 200, res.StatusCode)
		for ev, err := range c.Events(ctx) {
			require.NoError(t, err)
			if p, ok := ev.Payload.(nodebus.ExecutionCached); ok {
				require.Len(t, p.Nodes, cached, path)
			}
			if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID == "" {
				break
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, c.Close())
	stop()
	require.NoError(t, <-ended)
}

func TestScreen(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, names: map[string]string{"3": "Blur"}, bars: true}
	state := func(nodes ...nodebus.NodeState) { s.state(nodebus.Event{}, nodebus.ProgressState{}.With(nodes...)) }
	state(nodebus.NodeState{Place: nodebus.Place{UniqueID: "1"}, State: "finished", Value: 1, Max: 1}, nodebus.NodeState{Place: nodebus.Place{UniqueID: "3"}, State: "running"})
	s.executing(nodebus.Event{}, nodebus.Executing{UniqueID: "3"})
	state(nodebus.NodeState{Place: nodebus.Place{UniqueID: "3"}, State: "running", Value: 3, Max: 6})
	s.progress(nodebus.Event{}, nodebus.Progress{UniqueID: "3", Value: 3, Max: 6})
	s.executing(nodebus.Event{}, nodebus.Executing{})
	const (
		up    = "\x1b[1A\x1b[2K"
		empty = "  3 Blur       [······························]\n"
		half  = "  3 Blur       [███████████████···············]\n"
	)
	require.Equal(t, empty+
		up+"  executing        3 Blur\n"+empty+
		up+half+
		up+"  progress         3 Blur       3 of 6\n"+half+
		up+"  closed\n", out.String())
}
