package nats_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/nats"
)

func TestLog(t *testing.T) {
	conform.Log(t, func(t *testing.T) nodebus.Log { return open(t, shared, nats.Options{Name: newName()}).Log() })
}

func TestLogReopens(t *testing.T) {
	conform.LogReopens(t, func(t *testing.T) (nodebus.Log, func() nodebus.Log) {
		name := newName()
		bus := open(t, shared, nats.Options{Name: name})
		return bus.Log(), func() nodebus.Log {
			_ = bus.Close()
			bus = open(t, shared, nats.Options{Name: name})
			return bus.Log()
		}
	})
}

func TestLogs(t *testing.T) {
	conform.Logs(t, func(t *testing.T) (a, b nodebus.Log) {
		name := newName()
		return open(t, shared, nats.Options{Name: name}).Log(), open(t, shared, nats.Options{Name: name}).Log()
	})
}
