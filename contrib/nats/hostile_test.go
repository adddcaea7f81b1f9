package nats_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// TestStrangePreviews publishes previews that no process of ours sends: without a name, with
// the same name again, and larger together than what a process keeps.
func TestStrangePreviews(t *testing.T) {
	opts := nats.Options{Name: newName()}
	a, b := open(t, shared, opts).Log(), open(t, shared, opts).Log()
	nc := connect(t, shared)
	for _, name := range []string{"", "x.1"} { // without a name, and twice with the same one
		for range 12 {
			m := natsgo.NewMsg(opts.Name + "_LOG.previews")
			m.Header.Set("Nb-Name", name)
			m.Data = make([]byte, 4<<20)
			require.NoError(t, nc.PublishMsg(m))
		}
		require.NoError(t, nc.Flush())
	}
	heard := follow(t, b)
	came := false
	for n, began := 0, time.Now(); !came; n++ { // the first ones may be lost with the strange ones
		require.Less(t, time.Since(began), time.Minute, "previews do not come any more")
		require.NoError(t, a.Append(about("1", nodebus.Preview{PromptID: "1", ImageType: "image/png", Image: []byte{1}})))
		require.NoError(t, a.Append(about("1", said(n))))
		for ev := heard(); ; ev = heard() {
			if _, ok := ev.Payload.(nodebus.Preview); !ok {
				require.Equal(t, frame(t, about("1", said(n))), frame(t, ev))
				break
			}
			came = true
		}
	}
}

// TestStrangeMessages publishes to the stream of the log what no process of ours sends.
func TestStrangeMessages(t *testing.T) {
	opts := nats.Options{Name: newName()}
	l := open(t, shared, opts).Log()
	nc := connect(t, shared)
	publish := func(id string, data []byte) {
		m := natsgo.NewMsg(opts.Name + "_LOG.events")
		m.Header.Set("Nats-Msg-Id", id)
		m.Data = data
		require.NoError(t, nc.PublishMsg(m))
		require.NoError(t, nc.Flush())
	}
	require.NoError(t, l.Append(about("1", said(0))))
	flush(t, l)
	many := make([]nats.Record, 3<<10)
	for i := range many {
		many[i] = nats.Record{PromptID: "many", Data: []byte(`{"type":"x","data":{}}`)}
	}
	publish("A-1", nats.AppendBatch(many...))
	require.NoError(t, l.Append(about("1", said(1))), "the IDs of the message before are not those of this event")
	flush(t, l)
	large := []byte(strings.Repeat("x", 4<<20))
	for part := 1; part <= 6; part++ {
		publish(fmt.Sprint("B-1-0-", part, "-6"), large)
	}
	publish("C-1", nil)
	publish("C-2", []byte("strange"))
	require.NoError(t, l.Append(about("1", said(2))))
	flush(t, l)
	for _, l := range []nodebus.Log{l, open(t, shared, opts).Log()} {
		page, err := l.Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: 1 << 62})
		require.NoError(t, err)
		require.Len(t, page.Events, 3)
		page, err = l.Read(nodebus.LogQuery{Prompts: []string{"many"}, UpTo: 1 << 62})
		require.NoError(t, err)
		n := len(page.Events) // Empty would print all of them
		require.Zero(t, n, "a message has 1024 events at most")
	}
}

// TestPartsHaveABound sends parts without end.
func TestPartsHaveABound(t *testing.T) {
	a, at := nats.NewArrivals(), time.Unix(1e9, 0)
	text := strings.Repeat("x", 1<<20)
	for part := 1; part <= 40; part++ {
		_, whole := a.Collect(fmt.Sprint("A-1-0-", part, "-40"), text, uint64(part), at)
		require.False(t, whole)
		require.LessOrEqual(t, a.Bytes(), 17<<20)
	}
	for part := 1; part <= 16; part++ {
		_, whole := a.Collect(fmt.Sprint("A-1-1-", part, "-16"), text, uint64(100+part), at)
		require.Equal(t, part == 16, whole, "the largest event has room")
	}
}
