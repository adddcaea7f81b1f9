package comfy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// anything returns values of all kinds that a Go program can hold.
type anything struct{ *rand.Rand }

func pick[T any](r anything, of ...T) T { return of[r.IntN(len(of))] }

type oddText string

func (t oddText) MarshalText() ([]byte, error) { return []byte(string(t) + "\xff"), nil }

type oddJSON struct{ text string }

func (o oddJSON) MarshalJSON() ([]byte, error) {
	switch o.text {
	case "panic":
		panic("not today")
	case "":
		return nil, errors.New("not today")
	}
	return []byte(o.text), nil
}

func (r anything) text() string {
	return pick(r, "", "a", "model.GLB", "a/b.obj", "notes.md", "x.json", "clip.webm", "\xff\xfe", "é\u2028<&>", "output", "temp", "other",
		"video/webm", "audio/x", "image/png", strings.Repeat("x", 3000), strings.Repeat("é", 1025))
}

func (r anything) value(depth int) any {
	file := nodebus.File{Filename: r.text(), Subfolder: r.text(), Type: r.text()}
	if depth > 3 {
		return r.text()
	}
	switch r.IntN(24) {
	case 0:
		return nil
	case 1:
		return pick(r, true, false)
	case 2:
		return r.IntN(10) - 5
	case 3:
		return pick(r, 0.5, math.NaN(), math.Inf(1), 1e300, float64(1<<60))
	case 4:
		return pick[any](r, json.Number("1e999"), json.Number("7"), json.Number("x"), uint64(1<<63), float32(0.1))
	case 5:
		return pick[any](r, time.Unix(1, 0), []byte("bytes"), oddText(r.text()), struct{ Filename string }{"x"})
	case 6:
		return oddJSON{pick(r, "null", "{}", `{"filename":5}`, `{"type":"other","filename":"a.png"}`, "[1]", "7", `"text"`)}
	case 7:
		return pick[any](r, (*nodebus.File)(nil), &file, []string{"a", "b"}, map[string]int{"filename": 1})
	case 8:
		if r.IntN(20) == 0 { // it ends the prompt as failed
			return pick[any](r, make(chan int), func() {}, oddJSON{"panic"}, oddJSON{""}, oddJSON{"{"})
		}
		return r.text()
	case 9, 10:
		return []any{r.value(depth + 1), r.value(depth + 1)}
	case 11, 12, 13:
		return r.text()
	case 14, 15:
		return file
	}
	object := map[string]any{}
	for _, name := range []string{"filename", "type", "subfolder", "format", "display_name", "nodeId", "mediaType", "content", "id", "x"} {
		switch r.IntN(5) {
		case 0:
			object[name] = r.value(depth + 1)
		case 1, 2:
			object[name] = r.text()
		}
	}
	return object
}

func (r anything) ui() nodebus.UI {
	ui := nodebus.UI{}
	for range r.IntN(4) {
		media := pick(r, "images", "audio", "video", "3d", "text", "animated", "gifs", "result", "files", "latents", "", "\xff")
		ui[media] = nil
		for range r.IntN(4) {
			ui[media] = append(ui[media], r.value(0))
		}
	}
	return ui
}

// Odd shows anything, or fails in one of many ways.
type Odd struct{ Seed int }

func (n Odd) Run(*nodebus.Context) (nodebus.UI, error) {
	r := anything{rand.New(rand.NewPCG(1, uint64(n.Seed)))}
	ui := r.ui()
	switch r.IntN(12) {
	case 0:
		return ui, errors.New(r.text())
	case 1:
		return ui, nodebus.ErrInterrupted
	case 2:
		panic(r.value(0))
	case 3:
		return nil, nil
	}
	return ui, nil
}

// checkJobs checks the list of jobs, pages of it, and each job, with the schema of the front
// end. It returns the states of the jobs.
func checkJobs(t *testing.T, h *host) (states map[string]int) {
	t.Helper()
	read := func(path string) (v any) {
		a := h.send("GET", path, "")
		require.Equal(t, 200, a.status, "%s: %s", path, a.body)
		dec := json.NewDecoder(strings.NewReader(a.body))
		dec.UseNumber()
		require.NoError(t, dec.Decode(&v), path)
		return v
	}
	all := read("/api/jobs?limit=100000&offset=0")
	var c jobSchema
	c.list(all)
	c.list(read("/api/jobs"))
	c.list(read("/api/jobs?status=completed,failed,cancelled&limit=7&offset=3"))
	states = map[string]int{}
	for _, j := range at(t, all, "jobs").([]any) {
		id := at(t, j, "id").(string)
		detail := read("/api/jobs/" + id)
		before := len(c.wrong)
		c.detail(detail)
		require.Len(t, c.wrong, before, "%v\n%v", c.wrong, detail)
		states[at(t, j, "status").(string)]++
	}
	require.Empty(t, c.wrong)
	read("/history")
	read("/queue")
	return states
}

// TestNewest3_ListIsAlwaysValid runs nodes that show anything and fail in every way, with
// extra data of every shape, and checks that the front end accepts the list of jobs.
func TestNewest3_ListIsAlwaysValid(t *testing.T) {
	h := newHost(t, nil)
	flow.Register(h.reg, Odd{}, nodebus.Info{Async: true})
	extras := []string{
		`null`, `{}`, `{"create_time":"now"}`, `{"create_time":null,"client_id":7}`, `{"extra_pnginfo":null}`, `{"extra_pnginfo":"x"}`,
		`{"extra_pnginfo":{"workflow":null}}`, `{"extra_pnginfo":{"workflow":[1]}}`, `{"extra_pnginfo":{"workflow":{"id":5}}}`,
		`{"extra_pnginfo":{"workflow":{"id":null}}}`, `{"extra_pnginfo":{"workflow":{"id":"w"}}}`, `{"x":[NaN,1e999,{"y":"\ud800"}]}`,
	}
	for seed := range 400 {
		graph := fmt.Sprintf(`{"1":{"class_type":"Odd","inputs":{"seed":%d}},"2":{"class_type":"Odd","inputs":{"seed":%d}}}`, seed, -seed-1)
		if seed%10 == 0 { // a part of the prompt is refused
			graph = graph[:len(graph)-1] + `,"3":{"class_type":"RefOutput","inputs":{}}}`
		}
		id := h.submit("me", graph, `"extra_data":`+extras[seed%len(extras)])
		_, err := h.engine.Wait(t.Context(), id)
		require.NoError(t, err)
	}
	h.engine.Pause()
	for _, extra := range extras {
		h.submit("me", quick, `"extra_data":`+extra)
	}
	states := checkJobs(t, h)
	require.Equal(t, len(extras), states["pending"])
	for _, state := range []string{"completed", "failed", "cancelled"} {
		require.Greater(t, states[state], 10, "%v", states)
	}
}

// fails is an executor that fails, and cannot say in which node.
type fails struct{ err error }

func (x fails) Execute(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
	return nodebus.Report{}, x.err
}

// TestNewest3_ErrorsOfTheEngine checks errors that no node has caused: of an executor, of a
// deadline, of a prompt that has begun too often, and of prompts that are refused or removed.
func TestNewest3_ErrorsOfTheEngine(t *testing.T) {
	for name, x := range map[string]nodebus.Executor{
		"executor": fails{errors.New("no executor today")}, "refused": fails{nodebus.ErrRefused}, "local": nil,
		"odd": fails{&nodebus.NodeError{Err: errors.New("\xff")}},
	} {
		t.Run(name, func(t *testing.T) {
			q := flow.NewQueue(nil)
			nodes := nodebus.Nodes{{ID: "1", Class: "Wait", Inputs: nodebus.Inputs{"name": "never"}}}
			require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: "cut", Nodes: nodes, Outputs: []string{"1"}}, nil))
			for range 2 { // two processes have begun the prompt, and ended
				l, err := q.Take(t.Context(), func(string) bool { return false })
				require.NoError(t, err)
				require.NoError(t, l.Extend(t.Context(), time.Nanosecond))
			}
			h := newHostOf(t, nil, &flow.EngineOptions{Queue: q, Executor: x, Parallel: 4, Attempts: 1})
			_, err := h.engine.Wait(t.Context(), "cut")
			require.NoError(t, err)
			ids := []string{"cut"}
			for i, policy := range []nodebus.Policy{{}, {Timeout: time.Nanosecond}, {Deadline: time.Unix(1, 0)}} {
				p := &nodebus.Prompt{ID: fmt.Sprint("p", i), Nodes: nodes, Outputs: []string{"1"}, Policy: policy, Extra: map[string]any{"create_time": []any{"now", 1e300, 1.5}[i]}}
				_, err := h.engine.Submit(t.Context(), p, nil)
				require.NoError(t, err)
				if i == 0 {
					_, err = h.engine.Interrupt(t.Context(), p.ID)
					require.NoError(t, err)
				}
				_, err = h.engine.Wait(t.Context(), p.ID)
				require.NoError(t, err)
				ids = append(ids, p.ID)
			}
			states := checkJobs(t, h)
			require.Equal(t, len(ids), states["failed"]+states["cancelled"], "%v", states)
			require.Positive(t, states["failed"])
			failure := at(t, h.get("/api/jobs/cut"), "execution_error")
			require.NotEmpty(t, at(t, failure, "exception_message"))
		})
	}
}
