package main

import (
	"bytes"
	"log/slog"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
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

// open opens the file. It waits for the process before, which may drain.
func open(file string, log *slog.Logger) (*parts, error) {
	key := bytes.Repeat([]byte{7}, 32) // a real program keeps it elsewhere
	db, err := bolt.Open(file, &bolt.Options{LockTimeout: time.Minute, SecretKey: key, Logger: log})
	if err != nil {
		return nil, err
	}
	return &parts{db.Queue(), db.Store(), db.Signals(), db.Log(), db.Close}, nil
}
