package conform_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/internal/bytelog"
)

func TestLogReopens(t *testing.T) {
	for name, fresh := range map[string]func() nodebus.Log{
		"in memory":                func() nodebus.Log { return nodebus.NewMemoryLog(nil) },
		"of bytes, asynchronously": func() nodebus.Log { return bytelog.New() },
	} {
		t.Run(name, func(t *testing.T) {
			conform.LogReopens(t, func(*testing.T) (nodebus.Log, func() nodebus.Log) {
				l := fresh()
				return l, func() nodebus.Log { return l }
			})
		})
	}
}
