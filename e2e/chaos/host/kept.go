package main

import (
	"log/slog"

	"github.com/nodebus/nodebus"
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

func open(_ string, _ *slog.Logger) (*parts, error) {
	return &parts{flow.NewQueue(nil), flow.NewStore(nil), flow.NewSignals(nil), nodebus.NewMemoryLog(nil), func() error { return nil }}, nil
}
