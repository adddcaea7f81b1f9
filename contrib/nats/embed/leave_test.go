package embed_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// whole starts three servers with a bus at each.
func whole(t *testing.T) (servers []*embed.Server, buses []*nats.Bus) {
	servers = newCluster(t).start(t, 0, 3)
	for _, s := range servers {
		require.True(t, s.HasMajority())
		buses = append(buses, openAt(t, s, "LEAVE"))
	}
	for _, s := range servers { // a test may give Close less time than this
		for began := time.Now(); !s.Settled(); time.Sleep(time.Millisecond) {
			require.Less(t, time.Since(began), time.Minute, "the server makes streams for ever")
		}
	}
	return servers, buses
}

// put stores a record.
func put(t *testing.T, b *nats.Bus, id string) error {
	return b.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: id}, State: nodebus.Succeeded})
}

// TestAllCloseAtOnce closes everything at the same time, each when it has stored something:
// nobody takes the majority away from the others.
func TestAllCloseAtOnce(t *testing.T) {
	servers, buses := whole(t)
	var closing sync.WaitGroup
	for i, b := range buses {
		closing.Go(func() {
			for n := range 10 * i { // the last one has the most to do
				if err := put(t, b, fmt.Sprint(i, "-", n)); err != nil {
					t.Error(err)
				}
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if err := servers[i].Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closing.Wait()
}

// TestCloseWaitsForTheOthers closes the second of three servers while the third one works:
// it stays until the third one closes, or until another one is back.
func TestCloseWaitsForTheOthers(t *testing.T) {
	defer embed.SetLeaveTime(time.Hour)()
	c := newCluster(t)
	servers := c.start(t, 0, 3)
	bus := openAt(t, servers[2], "LEAVE")
	closes := func(s *embed.Server) chan error {
		closed, before := make(chan error, 1), s.Conn().Stats().OutMsgs
		go func() { closed <- s.Close() }()
		for s.Conn().Stats().OutMsgs < before+3 { // it has said several times that it leaves
			time.Sleep(time.Millisecond)
		}
		return closed
	}
	require.NoError(t, servers[0].Close(), "two are a majority")
	closed := closes(servers[1])
	require.NoError(t, put(t, bus, "needed"))
	require.True(t, servers[2].HasMajority())
	require.Empty(t, closed)
	servers[0] = c.start(t, 0, 1)[0]
	require.NoError(t, <-closed, "two are a majority")
	closed = closes(servers[0])
	require.NoError(t, put(t, bus, "needed again"))
	require.Empty(t, closed)
	require.NoError(t, bus.Close())
	require.NoError(t, servers[2].Close())
	require.NoError(t, <-closed)
}

// TestCloseWithoutTheOthers: a server does not wait for ever for others that stay. A bus
// whose server has lost the others gives up what it cannot store, and says so.
func TestCloseWithoutTheOthers(t *testing.T) {
	servers, buses := whole(t)
	defer embed.SetLeaveTime(time.Millisecond)()
	require.NoError(t, servers[0].Close())
	require.NoError(t, servers[1].Close())
	for servers[2].HasMajority() { // until it has noticed
		time.Sleep(time.Millisecond)
	}
	require.NoError(t, buses[2].Log().Append(nodebus.Event{PromptID: "1", Payload: nodebus.Custom{Type: "x", Data: 1}}))
	require.ErrorIs(t, buses[2].Close(), nats.ErrAway)
	require.NoError(t, servers[2].Close())
}

// TestCloseWhileStreamsAreMade closes all servers when the first of many streams is made: none
// leaves a file open that it was just making.
func TestCloseWhileStreamsAreMade(t *testing.T) {
	defer embed.SetLeaveTime(time.Minute)()
	servers := newCluster(t).start(t, 0, 3)
	js, err := jetstream.New(servers[0].Conn())
	require.NoError(t, err)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	const streams = 40
	made := make(chan bool, streams)
	for n := range streams {
		go func() {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: fmt.Sprint("S", n), Replicas: 3})
			made <- err == nil
		}()
	}
	require.True(t, <-made)
	require.Positive(t, openFiles(t))
	closeAll(servers...)
	stop()
	for range streams - 1 {
		<-made // the others may be refused
	}
	for began := time.Now(); openFiles(t) > 0; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), time.Minute, "streams are still open")
	}
}

// openFiles returns how many stores of NATS have their files open in this process.
func openFiles(t *testing.T) int {
	t.Helper()
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Count(stacks, []byte("(*fileStore).flushStreamStateLoop("))
}
