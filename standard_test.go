package nodebus_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// methodReceivers returns the exported types of this package that have a method with
// this name.
func methodReceivers(t *testing.T, method string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != method {
				continue
			}
			if typ, value := f.Recv.List[0].Type.(*ast.Ident); value && typ.IsExported() {
				names = append(names, typ.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// standardPayloads returns a payload of each standard type.
func standardPayloads() map[string]nodebus.Payload {
	byType := map[string]nodebus.Payload{}
	for _, c := range standardFrames {
		byType[reflect.TypeOf(c.payload).Name()] = c.payload
	}
	for _, c := range binaryFrames {
		byType[reflect.TypeOf(c.payload).Name()] = c.payload
	}
	return byType
}

// TestStandardTable checks that each payload type of this package is in the tables of
// frames, and that Decode returns the same type. A type that is missing in the table of
// the package would become a Custom.
func TestStandardTable(t *testing.T) {
	payloads := standardPayloads()
	require.Equal(t, methodReceivers(t, "EventType"), slices.Sorted(maps.Keys(payloads)))
	for name, p := range payloads {
		got := overWire(t, nodebus.JSON, nodebus.Event{Payload: p})
		require.Equal(t, reflect.TypeOf(p), reflect.TypeOf(got.Payload), name)
	}
	coalescers := []string{"Overall", "Preview", "Progress", "ProgressState", "Status", "TextSoFar"}
	require.Equal(t, coalescers, methodReceivers(t, "CoalesceKey"))
}

// TestStandardCoalescers checks that in the queue of a client that is behind, a newer
// payload replaces an older payload exactly if the type is a Coalescer.
func TestStandardCoalescers(t *testing.T) {
	for name, p := range standardPayloads() {
		bubble.Test(t, func(t *testing.T) {
			h := nodebus.NewHub(nil)
			defer func() { _ = h.Close() }()
			got := &frameTape{}
			_, soFar := p.(nodebus.TextSoFar) // it is for stock clients
			s := h.Join("me", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: !soFar}})
			for range 3 {
				require.NoError(t, h.SendSync(p, "me"))
			}
			synctest.Wait()
			go func() { _ = s.Serve(context.Background(), got) }()
			synctest.Wait()
			want := 3
			if _, ok := p.(nodebus.Coalescer); ok {
				want = 1
			}
			require.Len(t, got.frames, want, name)
		})
	}
}

// TestCoalesceKeys checks that the keys of standard payloads differ for different prompts
// and nodes.
func TestCoalesceKeys(t *testing.T) {
	snapshot := func(p nodebus.Payload) string {
		c, ok := p.(nodebus.Coalescer)
		require.True(t, ok, "%T", p)
		return c.CoalesceKey()
	}
	require.Equal(t, snapshot(nodebus.Status{QueueRemaining: 1}), snapshot(nodebus.Status{QueueRemaining: 2}))
	require.Equal(t, snapshot(nodebus.Progress{PromptID: "p", UniqueID: "1", Value: 1}), snapshot(nodebus.Progress{PromptID: "p", UniqueID: "1", Value: 2}))
	require.NotEqual(t, snapshot(nodebus.Progress{PromptID: "p", UniqueID: "1"}), snapshot(nodebus.Progress{PromptID: "p", UniqueID: "2"}))
	require.NotEqual(t, snapshot(nodebus.Progress{PromptID: "p", UniqueID: "1"}), snapshot(nodebus.Progress{PromptID: "q", UniqueID: "1"}))
	require.Equal(t, snapshot(nodebus.ProgressState{PromptID: "p"}), snapshot(nodebus.ProgressState{PromptID: "p"}.With(make([]nodebus.NodeState, 2)...)))
	require.NotEqual(t, snapshot(nodebus.ProgressState{PromptID: "p"}), snapshot(nodebus.ProgressState{PromptID: "q"}))
	require.NotEqual(t, snapshot(nodebus.Preview{PromptID: "p", Place: nodebus.Place{UniqueID: "1"}}), snapshot(nodebus.Preview{PromptID: "p", Place: nodebus.Place{UniqueID: "2"}}))
	require.NotEqual(t, snapshot(nodebus.Preview{PromptID: "p", Place: nodebus.Place{UniqueID: "1"}}), snapshot(nodebus.Preview{PromptID: "q", Place: nodebus.Place{UniqueID: "1"}}))
	require.NotEqual(t, snapshot(nodebus.Overall{PromptID: "p"}), snapshot(nodebus.Overall{PromptID: "q"}))
	require.Equal(t, snapshot(nodebus.TextSoFar{PromptID: "p", UniqueID: "1", Text: "a"}), snapshot(nodebus.TextSoFar{PromptID: "p", UniqueID: "1"}))
	require.NotEqual(t, snapshot(nodebus.TextSoFar{PromptID: "p", UniqueID: "1"}), snapshot(nodebus.TextSoFar{PromptID: "p", UniqueID: "2"}))
	require.NotEqual(t, snapshot(nodebus.TextSoFar{PromptID: "p", UniqueID: "1"}), snapshot(nodebus.TextSoFar{PromptID: "q", UniqueID: "1"}))
}

// TestExtensionsOnRequest checks that the hub sends payloads that ComfyUI does not have
// only to clients that ask for the envelope, and a TextSoFar only to the others: in the
// queue, in a replay, and in the past of a prompt that a client begins to watch.
func TestExtensionsOnRequest(t *testing.T) {
	var payloads []nodebus.Payload
	var all, stock []string
	standard := standardPayloads()
	delete(standard, "Custom")
	for _, name := range slices.Sorted(maps.Keys(standard)) {
		p := standard[name]
		payloads = append(payloads, p)
		if name == "TextSoFar" {
			stock = append(stock, "progress_text")
			continue
		}
		if all = append(all, p.EventType()); !isExtension(p) {
			stock = append(stock, p.EventType())
		}
	}
	done := nodebus.NodeDone{Place: madePlace}
	payloads = append(payloads, &done, nodebus.Custom{Type: done.EventType(), Data: 1}) // in other Go types
	all = append(all, done.EventType(), done.EventType())
	require.Len(t, all, len(stock)+6)
	slices.Sort(all)
	slices.Sort(stock)
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(nil)
		defer func() { _ = h.Close() }()
		join := func(client string, c nodebus.JSONCodec) (*nodebus.Session, *frameTape) {
			got := &frameTape{}
			s := h.Join(client, &nodebus.SessionOptions{Codec: c, Hello: []nodebus.Payload{done}, May: func(string) bool { return true }})
			go func() { _ = s.Serve(context.Background(), got) }()
			synctest.Wait()
			return s, got
		}
		asks := nodebus.JSONCodec{Envelope: true}
		_, queued := join("me", asks)
		_, queuedStock := join("me", nodebus.JSONCodec{})
		for _, p := range payloads {
			require.NoError(t, h.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: p}))
			synctest.Wait()
		}
		_, replayed := join("me", asks)
		_, replayedStock := join("me", nodebus.JSONCodec{})
		watcher, watched := join("other", asks)
		watcherStock, watchedStock := join("other", nodebus.JSONCodec{BarePreviews: true})
		require.NoError(t, watcher.Watch("p"))
		require.NoError(t, watcherStock.Watch("p"))
		synctest.Wait()

		hello := []string{done.EventType()}
		watching := []string{nodebus.Watching{}.EventType()}
		require.Equal(t, slices.Concat(hello, all), queued.types(1))
		require.Equal(t, stock, queuedStock.types(0))
		require.Equal(t, slices.Concat(hello, all), replayed.types(1))
		require.Equal(t, stock, replayedStock.types(0))
		require.Equal(t, append(hello, slices.Sorted(slices.Values(append(all, watching...)))...), watched.types(1))
		require.Equal(t, slices.Sorted(slices.Values(append(stock, watching...))), watchedStock.types(0))
	})
}

// types returns the event types of the frames: the first n in order, the others sorted.
func (f *frameTape) types(n int) (types []string) {
	for _, frame := range f.frames {
		types = append(types, frame.Type)
	}
	slices.Sort(types[n:])
	return types
}
