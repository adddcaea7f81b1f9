package fold_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the results into testdata/vectors.json; look at the difference")

const vectorsFile = "testdata/vectors.json"

// vector is a list of events and the run that they make. The reducer in JavaScript has the
// same vectors.
type vector struct {
	Name   string            `json:"name"`
	Events []json.RawMessage `json:"events"`
	Run    json.RawMessage   `json:"run"`
}

func readVectors(t testing.TB) (all []vector) {
	data, err := os.ReadFile(vectorsFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &all))
	require.NotEmpty(t, all)
	return all
}

func TestVectors(t *testing.T) {
	all := readVectors(t)
	for i := range all {
		t.Run(all[i].Name, func(t *testing.T) {
			var events []nodebus.Event
			for _, text := range all[i].Events {
				ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: text})
				require.NoError(t, err)
				events = append(events, ev)
			}
			run := foldAll(events)
			if *update {
				all[i].Run = []byte(jsonOf(t, run))
			}
			require.JSONEq(t, string(all[i].Run), jsonOf(t, run))
			requireLaw(t, events)
		})
	}
	if *update {
		writeVectors(t, all)
	}
}

// writeVectors writes each event, and each run, on a line of its own.
func writeVectors(t *testing.T, all []vector) {
	var b bytes.Buffer
	compact := func(v any) {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, json.Compact(&b, text))
	}
	for i := range all {
		b.WriteString(map[bool]string{true: "[\n{\"name\":", false: ",\n{\"name\":"}[i == 0])
		compact(all[i].Name)
		b.WriteString(",\n \"events\":[")
		for k, ev := range all[i].Events {
			b.WriteString(map[bool]string{true: "\n  ", false: ",\n  "}[k == 0])
			compact(ev)
		}
		b.WriteString("],\n \"run\":")
		compact(all[i].Run)
		b.WriteString("}")
	}
	b.WriteString("\n]\n")
	require.NoError(t, os.WriteFile(vectorsFile, b.Bytes(), 0o644))
}

func foldAll(events []nodebus.Event) *fold.Run {
	var run fold.Run
	for _, ev := range events {
		run.Apply(ev)
	}
	return &run
}

func jsonOf(t testing.TB, run *fold.Run) string {
	text, err := json.Marshal(run)
	require.NoError(t, err)
	return string(text)
}

// requireLaw checks that a snapshot at each place, and the events after it, make the same
// run as all events.
func requireLaw(t testing.TB, events []nodebus.Event) {
	want := jsonOf(t, foldAll(events))
	var head fold.Run
	for cut := 0; ; cut++ {
		var run fold.Run
		require.NoError(t, json.Unmarshal([]byte(jsonOf(t, &head)), &run))
		require.JSONEq(t, jsonOf(t, &head), jsonOf(t, &run), "the snapshot after %d events", cut)
		require.Equal(t, jsonOf(t, &head), jsonOf(t, head.Clone()))
		for _, ev := range events[cut:] {
			run.Apply(ev)
		}
		require.JSONEq(t, want, jsonOf(t, &run), "the run, cut after %d events", cut)
		if cut == len(events) {
			return
		}
		head.Apply(events[cut])
	}
}
