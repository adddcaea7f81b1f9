package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
)

// parts are what outlives the process.
type parts struct {
	queue   flow.Queue
	store   flow.Store
	signals flow.Signals
	log     nodebus.Log
	close   func() error
}

// source is where the parts come from.
type source struct{ file, node, dir, own, routes string }

// all keeps the records of a long run.
var all = &flow.StoreOptions{Len: 1e6, Bytes: 4 << 30}

// open opens the file, or starts the server. It waits for the process before, which may
// drain.
func (s *source) open(ctx context.Context, log *slog.Logger) (*parts, error) {
	key := bytes.Repeat([]byte{7}, 32) // a real program keeps it elsewhere
	if s.node != "" {
		return s.join(ctx, key, log)
	}
	db, err := bolt.Open(s.file, &bolt.Options{LockTimeout: time.Minute, Store: all, SecretKey: key, Logger: log})
	if err != nil {
		return nil, err
	}
	return &parts{db.Queue(), db.Store(), db.Signals(), db.Log(), db.Close}, nil
}

// join starts a server of the cluster, and opens the bus.
func (s *source) join(ctx context.Context, key []byte, log *slog.Logger) (*parts, error) {
	opts := &embed.Options{
		Dir: s.dir, Name: s.node, Listen: s.own, Routes: strings.Split(s.routes, ","), LockTimeout: time.Minute, Logger: log,
		// Nobody listens at this address, so that the servers do not go round the proxies.
		Tune: func(o *server.Options) { o.Cluster.Advertise = "127.0.0.1:1" },
	}
	at, err := embed.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	bus, err := nats.Open(ctx, at.Conn(), &nats.Options{Node: s.node, Replicas: 3, Store: all, SecretKey: key, Logger: log})
	if err != nil {
		return nil, errors.Join(err, at.Close())
	}
	return &parts{bus.Queue(), bus.Store(), bus.Signals(), bus.Log(), func() error { return errors.Join(bus.Close(), at.Close()) }}, nil
}
