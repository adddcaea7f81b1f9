package nats_test

import (
	"testing"

	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
)

func TestSignals(t *testing.T) {
	conform.Signals(t, func(t *testing.T) flow.Signals { return open(t, shared, nats.Options{Name: newName()}).Signals() })
}

func TestSignalsReopens(t *testing.T) {
	conform.SignalsReopens(t, func(t *testing.T) (flow.Signals, func() flow.Signals) {
		return reopens(t, nats.Options{}, (*nats.Bus).Signals)
	})
}
