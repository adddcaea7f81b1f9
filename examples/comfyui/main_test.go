package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/examples/imagenodes"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// program is a running program on a free port.
type program struct {
	t     *testing.T
	url   string
	lines *bufio.Scanner
	stop  func()
	ended chan error
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	p := &program{t: t, lines: bufio.NewScanner(r), stop: stop, ended: make(chan error, 1)}
	go func() {
		p.ended <- run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), w)
		_ = w.Close()
	}()
	t.Cleanup(stop)
	after, ok := strings.CutPrefix(p.line(), "Open ")
	require.True(t, ok)
	p.url = strings.TrimSuffix(after, " in a browser; stop with Ctrl-C")
	return p
}

// line returns the next line that the program prints.
func (p *program) line() string {
	p.t.Helper()
	require.True(p.t, p.lines.Scan())
	return p.lines.Text()
}

// get sends a GET request for path, or a POST request if there is a body.
func (p *program) get(path string, body ...string) string {
	p.t.Helper()
	method := http.MethodGet
	if len(body) > 0 {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(strings.Join(body, "")))
	require.NoError(p.t, err)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, res.StatusCode, "%s", text)
	return string(text)
}

// message is a text message from the WebSocket.
type message struct {
	Type string
	Data struct {
		Node     *string
		PromptID string `json:"prompt_id"`
		Radius   int
		Strokes  int
		Colour   string
		Output   map[string][]any
	}
}

// TestRun does the same as a script: it connects, submits the example, follows the
// prompt to its end, and downloads the picture.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	p := start(t, "-data", folder)
	require.Equal(t, "Pictures are in "+folder, p.line())
	socket, _, err := websocket.Dial(t.Context(), p.url+"/ws?clientId=script", nil)
	require.NoError(t, err)
	socket.SetReadLimit(1 << 20)
	require.Equal(t, `{"example":["painting"]}`, p.get("/workflow_templates"))
	quicker := strings.NewReplacer(`"pause": 0.03`, `"pause": 0`, `"width": 640`, `"width": 160`)
	graph := quicker.Replace(p.get("/workflow_templates/example/painting.json"))
	var taken struct {
		PromptID string `json:"prompt_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(p.get("/prompt", `{"client_id":"script","prompt":`+graph+`}`)), &taken))

	var brushes []Brush
	counts := map[string]int{}
	for open := true; open; {
		typ, data, err := socket.Read(t.Context())
		require.NoError(t, err)
		if typ == websocket.MessageBinary {
			require.Equal(t, []byte{0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xd8}, data[:10], "a preview in JPEG format")
			counts["preview"]++
			continue
		}
		var m message
		require.NoError(t, json.Unmarshal(data, &m))
		counts[m.Type]++
		switch d := m.Data; m.Type {
		case "example.brush":
			brushes = append(brushes, Brush{*d.Node, d.Radius, d.Strokes})
		case "executed":
			want := map[string]map[string][]any{
				"5": {"text": {"160×106 pixels, on average #6f5d65"}},
				"6": {"images": {map[string]any{"filename": "painting.png", "subfolder": "", "type": "output"}}},
			}
			require.Equal(t, want[*d.Node], d.Output)
		case "executing":
			open = d.Node != nil || d.PromptID != taken.PromptID
		}
	}
	require.Equal(t, []Brush{{"3", 48, 16}, {"3", 24, 32}, {"3", 12, 144}, {"3", 6, 624}, {"3", 3, 2512}}, brushes)
	require.Equal(t, 1, counts["execution_success"])
	require.Equal(t, 1, counts["picture.palette"])
	require.Equal(t, 2, counts["executed"])
	// An image that is not encoded when its node ends is dropped. A slower painting waits for one.
	for pause := 0.01; counts["preview"] == 0; pause *= 2 {
		slower := strings.Replace(graph, `"pause": 0`, fmt.Sprintf(`"pause": %g`, pause), 1)
		require.NotEqual(t, graph, slower)
		require.NoError(t, json.Unmarshal([]byte(p.get("/prompt", `{"client_id":"script","prompt":`+slower+`}`)), &taken))
		for open := true; open; {
			typ, data, err := socket.Read(t.Context())
			require.NoError(t, err)
			var m message
			if typ == websocket.MessageBinary {
				counts["preview"]++
			} else {
				require.NoError(t, json.Unmarshal(data, &m))
			}
			open = m.Type != "executing" || m.Data.Node != nil || m.Data.PromptID != taken.PromptID
		}
	}
	picture, err := png.Decode(strings.NewReader(p.get("/view?filename=painting.png")))
	require.NoError(t, err)
	require.Equal(t, 160, picture.Bounds().Dx())

	require.Equal(t, `["/extensions/example/says.js"]`, p.get("/extensions"))
	require.Contains(t, p.get("/extensions/example/says.js"), "api.addEventListener(type, ")
	require.Contains(t, p.get("/"), "<title>nodebus</title>")

	p.stop()
	_, _, err = socket.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err), "%v", err)
	require.Equal(t, "stopped", p.line())
	require.NoError(t, <-p.ended)
}

// TestHelpAndReplacement asks for the help of a class, and runs a workflow with a class that
// is gone.
func TestHelpAndReplacement(t *testing.T) {
	p := start(t, "-data", t.TempDir())
	require.Contains(t, p.get("/docs/Blur/en.md"), "# Blur\n")
	require.Contains(t, p.get("/node_replacements"), `"Soften":[{"new_node_id":"Blur","old_node_id":"Soften","old_widget_ids":["size"]`)
	require.Contains(t, p.get("/prompt", `{"prompt":{"1":{"class_type":"Load","inputs":{"path":"picture.jpg"}},`+
		`"2":{"class_type":"Soften","inputs":{"picture":["1",0],"size":2}},"3":{"class_type":"Describe","inputs":{"picture":["2",0]}}}}`), `"node_errors":{}`)
	require.Contains(t, p.line(), "Pictures are in ")
	p.stop()
	require.Equal(t, "stopped", p.line())
	require.NoError(t, <-p.ended)
}

// TestEvents follows a prompt of another client as a page without a WebSocket does, until
// the program ends.
func TestEvents(t *testing.T) {
	p := start(t, "-data", t.TempDir())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/events?clientId=me&watch=first", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
	p.get("/prompt", `{"client_id":"other","prompt_id":"first","prompt":{"1":{"class_type":"Load","inputs":{"path":"picture.jpg"}},`+
		`"2":{"class_type":"Describe","inputs":{"picture":["1",0]}}}}`)
	lines := bufio.NewScanner(res.Body)
	next := func(part string) bool {
		for lines.Scan() {
			if strings.Contains(lines.Text(), part) {
				return true
			}
		}
		return false
	}
	require.True(t, next(`"sid":"me"`))
	require.True(t, next(`"type":"executed"`))
	require.True(t, next(`"node":null`))
	require.Contains(t, p.line(), "Pictures are in ")
	p.stop()
	require.True(t, next(": the server is going away"))
	require.Equal(t, "stopped", p.line())
	require.NoError(t, <-p.ended)
}

// TestFrontend checks that the server serves the front end's files, and that the
// example in the front end's format is the same workflow as in the API format.
func TestFrontend(t *testing.T) {
	front := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(front, "index.html"), []byte("the front end"), 0o600))
	p := start(t, "-data", t.TempDir(), "-frontend", front)
	require.Equal(t, "the front end", p.get("/"))
	require.Contains(t, p.get("/extensions"), "/extensions/nodebus/first.js")
	require.JSONEq(t, p.get("/api/workflow_templates/example/painting.json"), p.get("/extensions/nodebus/first.json"))
	var drawn struct {
		Nodes []struct {
			ID      json.Number
			Type    string
			Inputs  []struct{ Link int64 }
			Widgets []any `json:"widgets_values"`
		}
		Links [][]any // link id, source node, source slot, target
	}
	dec := json.NewDecoder(strings.NewReader(p.get("/api/workflow_templates/example/painting.json")))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&drawn))
	data, err := files.ReadFile("files/page/painting.json")
	require.NoError(t, err)
	nodes, err := nodebus.ParseNodes(data)
	require.NoError(t, err)
	require.Len(t, drawn.Nodes, len(nodes))
	for i, n := range drawn.Nodes {
		var values []any
		for _, v := range nodes[i].Inputs {
			link, ok := v.(nodebus.Link)
			if !ok {
				values = append(values, v)
				continue
			}
			from := drawn.Links[n.Inputs[0].Link-1]
			require.Equal(t, fmt.Sprint(link.Node, link.Slot), fmt.Sprint(from[1], from[2]))
		}
		if n.Type == "Paint" {
			values = append(values, "randomize") // a widget that only the front end has
		}
		require.Equal(t, nodes[i].ID+nodes[i].Class, n.ID.String()+n.Type)
		require.ElementsMatch(t, values, n.Widgets)
	}
	p.stop()
	require.Contains(t, p.line(), "Pictures are in ")
	require.Equal(t, "stopped", p.line())
	require.NoError(t, <-p.ended)
}

func TestBadArguments(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for want, args := range map[string][]string{
		"no front end: ":  {"-data", t.TempDir(), "-frontend", t.TempDir()},
		"not a directory": {"-data", file},
		"listen tcp: ":    {"-data", t.TempDir(), "-listen", "nowhere:99999999"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), want)
	}
}

// TestPaint shows how the author of a node tests the node without a server.
func TestPaint(t *testing.T) {
	red := imagenodes.Picture{RGBA: image.NewRGBA(image.Rect(0, 0, 60, 40))}
	draw.Draw(red, red.Rect, image.NewUniform(color.RGBA{200, 0, 0, 255}), image.Point{}, draw.Src)
	rec := nodetest.New(t, &nodetest.Options{UniqueID: "7"})
	painting, err := Paint{Picture: red, Radius: 8, Seed: 1}.Run(rec.Context())
	require.NoError(t, err)
	require.Equal(t, red.Pix, painting.Pix, "the painting has no white paper left, and no other colour")
	require.Equal(t, []Brush{{"7", 8, 48}, {"7", 4, 192}, {"7", 2, 800}}, nodetest.Sent[Brush](rec))
	steps := nodetest.Sent[nodebus.Progress](rec)
	require.Len(t, steps, 49)
	require.Zero(t, steps[0].Value, "the first progress comes before the first preview")
	require.Equal(t, steps[48].Max, steps[48].Value)
	require.Len(t, nodetest.Sent[nodebus.Preview](rec), 48)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Paint{Picture: red, Radius: 8, Pause: 10}.Run(rec.With(ctx))
	require.ErrorIs(t, err, context.Canceled)
}

// TestOneAtATime: prompts of two clients run one after another, as ComfyUI's clients expect.
func TestOneAtATime(t *testing.T) {
	p := start(t, "-data", t.TempDir())
	socket, _, err := websocket.Dial(t.Context(), p.url+"/ws?clientId=script&watch=first&watch=second", nil)
	require.NoError(t, err)
	socket.SetReadLimit(1 << 20)
	graph := strings.NewReplacer(`"pause": 0.03`, `"pause": 0.001`, `"width": 640`, `"width": 160`).Replace(p.get("/workflow_templates/example/painting.json"))
	for _, id := range []string{"first", "second"} {
		p.get("/prompt", `{"client_id":"client of `+id+`","prompt_id":"`+id+`","prompt":`+graph+`}`)
	}
	var steps []string
	for len(steps) < 4 {
		typ, data, err := socket.Read(t.Context())
		require.NoError(t, err)
		var m message
		if typ == websocket.MessageText {
			require.NoError(t, json.Unmarshal(data, &m))
		}
		if m.Type == "execution_start" || m.Type == "executing" && m.Data.Node == nil {
			steps = append(steps, m.Type+" "+m.Data.PromptID)
		}
	}
	// A prompt waits until its own answer is sent, so the second may begin before the first.
	one := []string{"execution_start first", "executing first"}
	two := []string{"execution_start second", "executing second"}
	require.Contains(t, [][]string{slices.Concat(one, two), slices.Concat(two, one)}, steps)
	_ = socket.CloseNow()
	p.stop()
	for p.lines.Scan() {
	}
	require.NoError(t, <-p.ended)
}
