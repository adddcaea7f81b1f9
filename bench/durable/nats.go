package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
)

// natsBackend has servers in this process. With synced, they write to the disk before they acknowledge.
func natsBackend(name string, servers int, synced bool) *backend {
	b := &backend{
		name: name, bare: "raw-nats", programs: []string{"hello", "hellosocket", "hellonats", "helloembed"},
		open: func(dir string) (parts, error) {
			all, err := openBuses(dir, servers, 1, synced)
			if err != nil {
				return nil, err
			}
			return all[0], nil
		},
		openAll:  func(dir string, n int) ([]parts, error) { return openBuses(dir, servers, n, synced) },
		openBare: func(dir string) (bare, error) { return openJetStream(dir, servers, synced) },
		streams: map[string]func(bare, int, int, []byte) error{
			"raw-nats-batches": func(b bare, publishers, n int, value []byte) error {
				return b.(*plainNATS).batches(publishers, n, value)
			},
			"raw-nats-packed": func(b bare, publishers, n int, value []byte) error {
				return b.(*plainNATS).packed(publishers, n, value)
			},
		},
	}
	b.besides = func(b bare, value, other []byte) error { return b.(*plainNATS).beside(value, other) }
	if synced {
		b.fast = natsBackend(name, servers, false)
	}
	return b
}

// startTime is enough for the slowest election.
const startTime = time.Minute

// servers run in this process; more than one of them form a cluster.
type servers []*embed.Server

func startServers(dir string, n int, synced bool) (servers, error) {
	addresses, err := freeAddresses(n)
	if err != nil {
		return nil, err
	}
	all := make(servers, n)
	_, err = each(n, n, func(_, i int) (err error) {
		ctx, stop := context.WithTimeout(background, startTime)
		defer stop()
		name := "s" + strconv.Itoa(i)
		opts := &embed.Options{Dir: filepath.Join(dir, name), Name: name, Unsynced: !synced, Logger: silent}
		if n > 1 {
			opts.Listen, opts.Routes = addresses[i], addresses
		}
		all[i], err = embed.Start(ctx, opts)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, all.Close())
	}
	return all, nil
}

// freeAddresses returns addresses at which nobody listens.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// Close stops all servers at the same time.
func (s servers) Close() error {
	_, err := each(len(s), len(s), func(_, i int) error {
		if s[i] == nil {
			return nil
		}
		return s[i].Close()
	})
	return err
}

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// bus is a bus with a connection of its own. The first bus has the servers.
type bus struct {
	*nats.Bus
	nc  *natsgo.Conn
	all servers
}

// openBuses opens n buses with the same streams, each with a connection to the next server.
func openBuses(dir string, count, n int, synced bool) (all []parts, err error) {
	run, err := startServers(dir, count, synced)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, p := range all {
				err = errors.Join(err, p.Close())
			}
			err = errors.Join(err, run.Close())
			all = nil
		}
	}()
	ctx, stop := context.WithTimeout(background, startTime)
	defer stop()
	for i := range n {
		nc, err := run[i%count].Connect()
		if err != nil {
			return all, err
		}
		b, err := nats.Open(ctx, nc, &nats.Options{
			Replicas: count, Queue: queueOptions, Store: storeOptions, Log: &hubLimits, Logger: silent,
		})
		if err != nil {
			nc.Close()
			return all, err
		}
		all = append(all, &bus{Bus: b, nc: nc})
	}
	all[0].(*bus).all = run
	return all, nil
}

// Close closes the bus, the connection, and the servers.
func (b *bus) Close() error {
	err := b.Bus.Close()
	b.nc.Close()
	return errors.Join(err, b.all.Close())
}

// plainNATS is JetStream without nodebus: one stream in files, a message for each value.
type plainNATS struct {
	servers
	js jetstream.JetStream
}

// maxPending is the number of messages that are sent before the first of them is acknowledged.
const maxPending = 4000

func openJetStream(dir string, count int, synced bool) (_ *plainNATS, err error) {
	p := &plainNATS{}
	if p.servers, err = startServers(dir, count, synced); err != nil {
		return nil, err
	}
	if p.js, err = jetstream.New(p.servers[0].Conn(), jetstream.WithPublishAsyncMaxPending(maxPending)); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	ctx, stop := context.WithTimeout(background, startTime)
	defer stop()
	for { // a new cluster may not know yet who leads
		once, stop := context.WithTimeout(ctx, time.Second)
		_, err = p.js.CreateOrUpdateStream(once, jetstream.StreamConfig{
			Name: "BARE", Subjects: []string{"bare"}, Replicas: count, AllowAtomicPublish: true,
		})
		if err == nil {
			_, err = p.js.CreateOrUpdateStream(once, jetstream.StreamConfig{Name: "BESIDE", Subjects: []string{"beside"}, Replicas: count})
		}
		stop()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// append publishes a value and waits until it is acknowledged.
func (p *plainNATS) append(_ int, value []byte) error {
	_, err := p.js.Publish(background, "bare", value)
	return err
}

// beside publishes a value and waits until it is acknowledged. It does not wait for another value,
// in a stream of its own, like the status event of a prompt.
func (p *plainNATS) beside(value, other []byte) error {
	if err := p.append(1, value); err != nil {
		return err
	}
	_, err := p.js.PublishAsync("beside", other, jetstream.WithStallWait(startTime))
	return err
}

// stream publishes values, and waits for all acknowledgements at the end.
func (p *plainNATS) stream(publishers, n int, value []byte) error {
	failed := make(chan error, 1)
	_, err := each(publishers, n, func(int, int) error {
		_, err := p.js.PublishAsync("bare", value, jetstream.WithStallWait(startTime))
		return err
	})
	select {
	case <-p.js.PublishAsyncComplete():
	case <-time.After(startTime):
		failed <- fmt.Errorf("%d of %d messages are not acknowledged", p.js.PublishAsyncPending(), n)
	}
	close(failed)
	return errors.Join(err, <-failed)
}

// batchLen is the largest batch that a server takes.
const batchLen = 1000

// batches publishes values in batches that are stored whole or not at all. Each publisher waits for its batch.
func (p *plainNATS) batches(publishers, n int, value []byte) error {
	nc := p.servers[0].Conn()
	_, err := each(publishers, (n+batchLen-1)/batchLen, func(_, at int) error {
		of := min(batchLen, n-at*batchLen)
		id := natsgo.NewInbox()
		for i := 1; i < of; i++ {
			if err := nc.PublishMsg(batched(id, i, value)); err != nil {
				return err
			}
		}
		m := batched(id, of, value)
		m.Header.Set("Nats-Batch-Commit", "1")
		return acknowledged(nc.RequestMsg(m, startTime))
	})
	return err
}

func batched(id string, n int, value []byte) *natsgo.Msg {
	return &natsgo.Msg{Subject: "bare", Data: value, Header: natsgo.Header{
		"Nats-Batch-Id": {id[len(natsgo.InboxPrefix):]}, "Nats-Batch-Sequence": {strconv.Itoa(n)},
	}}
}

// packed publishes messages of many values, as the log of nodebus does; each publisher waits for its message.
func (p *plainNATS) packed(publishers, n int, value []byte) error {
	_, err := each(publishers, (n+batchLen-1)/batchLen, func(_, at int) error {
		var b []byte
		for range min(batchLen, n-at*batchLen) {
			b = append(b, value...)
		}
		return p.append(1, b)
	})
	return err
}

// acknowledged returns the error of an answer of JetStream.
func acknowledged(m *natsgo.Msg, err error) error {
	if err != nil {
		return err
	}
	var ack struct {
		Error *jetstream.APIError
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return err
	}
	if ack.Error != nil {
		return ack.Error
	}
	return nil
}

// read makes a consumer for the messages after the first ones.
func (p *plainNATS) read(skip, n int, f func(value []byte)) error {
	c, err := p.js.OrderedConsumer(background, "BARE", jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(skip) + 1,
	})
	if err != nil {
		return err
	}
	all, err := c.Messages()
	if err != nil {
		return err
	}
	defer all.Stop()
	for range n {
		m, err := all.Next()
		if err != nil {
			return err
		}
		f(m.Data())
	}
	return nil
}
