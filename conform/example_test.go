package conform_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/ws"
)

// lines is a transport that writes each event as a line. It drops binary frames, because
// they have no text form.
type lines struct{ to io.WriteCloser }

func (l lines) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		if f.Binary {
			continue
		}
		if _, err := fmt.Fprintf(l.to, "%s\n", f.Data); err != nil {
			return err
		}
	}
	return nil
}

func (l lines) Close(error) error { return l.to.Close() }

// connect returns a transport and the client that receives its frames.
func connect(*testing.T) (nodebus.Transport, conform.Receiver) {
	there, here := io.Pipe()
	r := bufio.NewReader(there)
	return lines{here}, conform.Receiver{TextOnly: true, Receive: func() (nodebus.Frame, error) {
		line, err := r.ReadBytes('\n')
		return nodebus.Frame{Data: bytes.TrimSuffix(line, []byte("\n"))}, err
	}}
}

func TestLines(t *testing.T) { conform.Transport(t, connect) }

// The suite is the whole test of a transport. It calls connect once for each subtest.
func ExampleTransport() {
	var t *testing.T // in a real test: the argument of the test function

	conform.Transport(t, connect)
}

// The suite of a server tests a transport over real connections that break. The dialer
// returns a client that reads events. For a server that is not an http.Handler, write a
// function with the type of the result of conform.HTTP.
func ExampleServer() {
	var t *testing.T // in a real test: the argument of the test function

	conform.Server(t, conform.HTTP(func(s conform.Site) http.Handler {
		return ws.New(s.Hub, nil)
	}), dialPackets, &conform.ServerClaims{Stock: true, Binary: true})
}

// The suite calls the function once for each subtest. A log in a database would open an
// empty database.
func ExampleLog() {
	var t *testing.T // in a real test: the argument of the test function

	conform.Log(t, func(*testing.T) nodebus.Log { return nodebus.NewMemoryLog(nil) })
}

// HTTP makes a server of a handler, for [conform.Server].
func ExampleHTTP() {
	serve := conform.HTTP(func(s conform.Site) http.Handler { return ws.New(s.Hub, nil) })
	fmt.Println(serve != nil)
	// Output: true
}

// The suite calls the function once for each subtest. A queue in a file would open a
// new file in t.TempDir().
func ExampleQueue() {
	var t *testing.T // in a real test: the argument of the test function

	conform.Queue(t, func(*testing.T) flow.Queue { return flow.NewQueue(nil) })
}

// A store may keep its records in any form that returns them unchanged.
func ExampleStore() {
	var t *testing.T

	conform.Store(t, func(*testing.T) flow.Store { return flow.NewStore(nil) })
}

// A queue that has limits proves them, too.
func ExampleQueueLimits() {
	var t *testing.T

	conform.QueueLimits(t, func(*testing.T) flow.Queue { return flow.NewQueue(&flow.QueueOptions{Len: 8}) })
}

// A queue in a file would close the file and open it again.
func ExampleQueueReopens() {
	var t *testing.T

	conform.QueueReopens(t, func(*testing.T) (flow.Queue, func() flow.Queue) {
		q := flow.NewQueue(nil)
		return q, func() flow.Queue { return q }
	})
}

// A store in a file would close the file and open it again.
func ExampleStoreReopens() {
	var t *testing.T

	conform.StoreReopens(t, func(*testing.T) (flow.Store, func() flow.Store) {
		s := flow.NewStore(nil)
		return s, func() flow.Store { return s }
	})
}

// A cache may forget, so that a small cache passes too.
func ExampleCache() {
	var t *testing.T

	conform.Cache(t, func(*testing.T) flow.Cache { return flow.NewCache(&flow.CacheOptions{Entries: 3}) })
}

// An executor claims what it can do. The suite skips the other tests and reports that.
func ExampleExecutor() {
	var t *testing.T

	conform.Executor(t, func(_ *testing.T, r *flow.Registry) nodebus.Executor {
		return flow.NewLocal(r, &flow.LocalOptions{Cache: flow.NoCache()})
	}, &conform.Claims{Lazy: true, Lists: true})
}

// Local can do everything.
func ExampleAllClaims() {
	var t *testing.T

	conform.Executor(t, func(_ *testing.T, r *flow.Registry) nodebus.Executor {
		return flow.NewLocal(r, nil)
	}, conform.AllClaims())
}

// A worker process that runs the nodes of an executor under test registers the nodes of
// the suite.
func ExampleRegister() {
	r := flow.NewRegistry()
	conform.Register(r)
	_, ok := r.Class("conform.Sum")
	fmt.Println(ok)
	// Output: true
}

// The suite of clients starts each client with a function. A client in another language is a
// process that writes the events that it receives.
func ExampleClient() {
	var t *testing.T // in a real test: the argument of the test function

	conform.Client(t, func(ctx context.Context, s conform.ClientStart) (conform.ClientUnderTest, error) {
		return startSmall(false, "")(ctx, s) // connects to "ws" below s.URL with the id s.ID
	}, &conform.ClientClaims{Status: true})
}
