package nats_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for something that should take no time.
const patience = 30 * time.Second

// about returns an event of a prompt that client "ann" submitted.
func about(promptID string, p nodebus.Payload) nodebus.Event {
	return nodebus.Event{PromptID: promptID, To: "ann", Payload: p}
}

func said(n int) nodebus.Payload { return nodebus.Custom{Type: "said", Data: n} }

func ending(promptID string) nodebus.Event {
	return about(promptID, nodebus.Executing{PromptID: promptID})
}

// follow returns a function that waits for the next event of a log.
func follow(t *testing.T, l nodebus.Log) func() nodebus.Event {
	t.Helper()
	heard := make(chan nodebus.Event, 10_000)
	_, stop, err := l.Follow(func(ev nodebus.Event) { heard <- ev })
	require.NoError(t, err)
	t.Cleanup(stop)
	return func() nodebus.Event {
		t.Helper()
		select {
		case ev := <-heard:
			return ev
		case <-time.After(patience):
			t.Fatal("no event comes")
			return nodebus.Event{}
		}
	}
}

// everything returns what a log keeps.
func everything(t *testing.T, l nodebus.Log) nodebus.LogPage {
	t.Helper()
	page, err := l.Read(nodebus.LogQuery{All: true, Own: true, Client: "ann", UpTo: 1 << 62})
	require.NoError(t, err)
	return page
}

// flush waits until the events of a log are stored.
func flush(t *testing.T, l nodebus.Log) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	require.NoError(t, nats.Flush(ctx, l))
}

// frame returns the frame of an event.
func frame(t *testing.T, ev nodebus.Event) string {
	t.Helper()
	f, err := nodebus.JSON.Encode(ev)
	require.NoError(t, err)
	return string(f.Data)
}

// streamOf returns the stream of the log of a bus.
func streamOf(t *testing.T, name string) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), name+"_LOG")
	require.NoError(t, err)
	return stream
}

// TestPreviewsTravelBesideTheStream sends previews from one process to another, and to one
// that joins later.
func TestPreviewsTravelBesideTheStream(t *testing.T) {
	name := newName()
	a, b := open(t, shared, nats.Options{Name: name}).Log(), open(t, shared, nats.Options{Name: name}).Log()
	atA, atB := follow(t, a), follow(t, b)
	rounds, came := 0, 0
	for began := time.Now(); came == 0; rounds++ { // core NATS may lose some, or be slower than the stream
		require.Less(t, time.Since(began), time.Minute, "no preview comes")
		for n := range 50 {
			require.NoError(t, a.Append(about("1", nodebus.Preview{
				Place: nodebus.Place{UniqueID: fmt.Sprint(n)}, PromptID: "1", ImageType: "image/png", Image: make([]byte, 100_000+n),
			})))
		}
		require.NoError(t, a.Append(about("1", said(rounds))))
		for n := range 50 {
			require.Len(t, atA().Payload.(nodebus.Preview).Image, 100_000+n, "the process itself has them in any case")
		}
		atA()
		for ev := atB(); ; ev = atB() {
			p, ok := ev.Payload.(nodebus.Preview)
			if !ok {
				require.Equal(t, frame(t, about("1", said(rounds))), frame(t, ev))
				break
			}
			came++
			require.Equal(t, fmt.Sprint(len(p.Image)-100_000), p.Place.UniqueID)
		}
	}
	late := everything(t, open(t, shared, nats.Options{Name: name}).Log())
	require.Len(t, late.Events, rounds, "previews are not kept")
	require.Zero(t, late.Lost, "a preview that is not there is no loss")
	require.Less(t, streamOf(t, name).CachedInfo().State.Bytes, uint64(20_000*rounds), "the stream keeps names only")
}

func TestLargeEventsTravelInParts(t *testing.T) {
	name := newName()
	a, b := open(t, shared, nats.Options{Name: name}).Log(), open(t, shared, nats.Options{Name: name}).Log()
	atA, atB := follow(t, a), follow(t, b)
	sizes := []int{10, 300 << 10, 5 << 20, 20, 1<<20 + 1, 30}
	text := func(n int) string { return strings.Repeat(fmt.Sprint(n%7), n) }
	for _, n := range sizes {
		require.NoError(t, a.Append(about("1", nodebus.Custom{Type: "large", Data: text(n)})))
		require.NoError(t, b.Append(about("2", nodebus.Custom{Type: "large", Data: "of the other"})))
	}
	flush(t, a)
	flush(t, b)
	for _, l := range []nodebus.Log{a, b, open(t, shared, nats.Options{Name: name}).Log()} {
		page, err := l.Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: 1 << 62})
		require.NoError(t, err)
		require.Len(t, page.Events, len(sizes))
		for i, n := range sizes {
			want := frame(t, about("1", nodebus.Custom{Type: "large", Data: text(n)}))
			same := frame(t, page.Events[i]) == want
			require.True(t, same, "event %d", i) // Equal would print megabytes
		}
	}
	for range 2 * len(sizes) {
		require.Equal(t, atA().ID, atB().ID)
	}
	err := a.Append(about("1", nodebus.Custom{Type: "large", Data: text(17 << 20)}))
	require.ErrorContains(t, err, "the largest event of the log has 16777216 bytes")
	require.NoError(t, a.Append(about("1", said(2))), "the log goes on")
}

// TestCursorOfAnotherHub brings the newest cursor of one process to the other at once.
func TestCursorOfAnotherHub(t *testing.T) {
	name := newName()
	logs := []nodebus.Log{open(t, shared, nats.Options{Name: name}).Log(), open(t, shared, nats.Options{Name: name}).Log()}
	for n := range 200 {
		here, there := logs[n%2], logs[1-n%2]
		require.NoError(t, here.Append(about("1", said(n))))
		at, stop, err := here.Follow(func(nodebus.Event) {})
		require.NoError(t, err)
		stop()
		same, stop, err := there.Follow(func(nodebus.Event) {})
		require.NoError(t, err)
		stop()
		require.Equal(t, at, same)
		page, err := there.Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: at.ID})
		require.NoError(t, err)
		require.Len(t, page.Events, n+1)
	}
}

// outdates waits until a log has given up the events of a prompt.
func outdates(t *testing.T, l nodebus.Log, promptID string, retain time.Duration) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(retain / 10) {
		require.NoError(t, l.Append(nodebus.Event{Broadcast: true, Payload: said(0)}))
		flush(t, l)
		page, err := l.Read(nodebus.LogQuery{Prompts: []string{promptID}, UpTo: 1 << 62})
		require.NoError(t, err)
		if len(page.Events) == 0 {
			return
		}
		require.Less(t, time.Since(began), patience)
	}
}

// TestTrim trims what no process needs.
func TestTrim(t *testing.T) {
	name := newName()
	retain := 50 * time.Millisecond
	opts := nats.Options{Name: name, Log: &nodebus.HubOptions{Retain: retain}}
	a := open(t, shared, opts).Log()
	heard := follow(t, a)
	large := nodebus.Custom{Type: "large", Data: strings.Repeat("x", 3<<20)}
	for n := range 20 {
		require.NoError(t, a.Append(about("over", said(n))))
	}
	require.NoError(t, a.Append(ending("over")))
	require.NoError(t, a.Append(about("runs", large)))
	require.NoError(t, a.Append(about("runs", said(1))))
	flush(t, a)
	over := uint64(0)
	for range 21 {
		over = heard().ID
	}
	require.NoError(t, nats.Trim(t.Context(), a, 0))
	require.EqualValues(t, 1, streamOf(t, name).CachedInfo().State.FirstSeq, "nobody may need it, but that is not known yet")

	outdates(t, a, "over", retain)
	require.NoError(t, nats.Trim(t.Context(), a, 0))
	require.EqualValues(t, 1, streamOf(t, name).CachedInfo().State.FirstSeq, "other processes may keep it longer")
	require.NoError(t, nats.Trim(t.Context(), a, nats.TrimAfter(retain)))
	first := streamOf(t, name).CachedInfo().State.FirstSeq
	require.Greater(t, first, uint64(1))
	require.GreaterOrEqual(t, first, over>>10, "nothing is trimmed before it is older than Retain")

	late := open(t, shared, opts).Log()
	page, err := late.Read(nodebus.LogQuery{Prompts: []string{"runs"}, UpTo: 1 << 62})
	require.NoError(t, err)
	require.Len(t, page.Events, 2, "a prompt that runs has all its events, also those in parts")
	require.NotZero(t, everything(t, late).Lost, "a late process reports what is trimmed")
	require.NoError(t, a.Append(ending("runs")))
	require.NoError(t, nats.Trim(t.Context(), a, 2*nats.TrimAfter(retain)), "trimming again does no harm")
}

// TestLogBytes fills the stream.
func TestLogBytes(t *testing.T) {
	name := newName()
	opts := nats.Options{Name: name, LogBytes: 4 << 20}
	a := open(t, shared, opts).Log()
	text := strings.Repeat("x", 1500<<10)
	for n := range 4 {
		require.NoError(t, a.Append(about(fmt.Sprint(n), nodebus.Custom{Type: "large", Data: text})))
	}
	flush(t, a)
	require.Len(t, everything(t, a).Events, 4, "the process itself has all")
	late := everything(t, open(t, shared, opts).Log())
	require.NotEmpty(t, late.Events)
	require.Less(t, len(late.Events), 4)
	require.NotZero(t, late.Lost)
	lost, err := open(t, shared, opts).Log().Read(nodebus.LogQuery{Prompts: []string{"0"}, UpTo: 1 << 62})
	require.NoError(t, err)
	require.Greater(t, late.Events[0].ID, lost.Lost)
	require.Positive(t, lost.Lost)
}

func TestRetainIsThatOfTheStream(t *testing.T) {
	name := newName()
	open(t, shared, nats.Options{Name: name, Log: &nodebus.HubOptions{Retain: time.Hour}})
	buf := &lockedBuffer{}
	open(t, shared, nats.Options{Name: name, Log: &nodebus.HubOptions{Retain: time.Minute}, Logger: loggerTo(buf)})
	buf.comes(t, "another Retain", "retain=1h0m0s wanted=1m0s")
}

// TestOtherStream deletes the stream under a log.
func TestOtherStream(t *testing.T) {
	name := newName()
	bus := open(t, shared, nats.Options{Name: name})
	l := bus.Log()
	require.NoError(t, l.Append(about("1", said(1))))
	flush(t, l)
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), name+"_LOG"))
	second := open(t, shared, nats.Options{Name: name}).Log()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for err = error(nil); err == nil && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		_ = second.Append(about("1", said(1)))
		err = l.Append(about("1", said(2)))
	}
	require.ErrorIs(t, err, nats.ErrOtherStream)
	_, err = l.Read(nodebus.LogQuery{})
	require.ErrorIs(t, err, nats.ErrOtherStream)
	_, _, err = l.Follow(func(nodebus.Event) {})
	require.ErrorIs(t, err, nats.ErrOtherStream)
	require.NoError(t, bus.Close())
}

func TestCloseStoresWhatWaits(t *testing.T) {
	name := newName()
	bus := open(t, shared, nats.Options{Name: name})
	for n := range 5000 {
		require.NoError(t, bus.Log().Append(about("1", said(n))))
	}
	require.NoError(t, bus.Close())
	require.ErrorIs(t, bus.Log().Append(about("1", said(0))), nodebus.ErrClosed)
	_, err := bus.Log().Read(nodebus.LogQuery{})
	require.ErrorIs(t, err, nodebus.ErrClosed)
	require.ErrorIs(t, bus.Log().Drop("1"), nodebus.ErrClosed)
	require.Len(t, everything(t, open(t, shared, nats.Options{Name: name}).Log()).Events, 5000)
}
