package bolt_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/stretchr/testify/require"
)

func TestLog(t *testing.T) {
	conform.Log(t, func(t *testing.T) nodebus.Log { return open(t, newPath(t), nil).Log() })
}

func TestLogReopens(t *testing.T) {
	conform.LogReopens(t, func(t *testing.T) (nodebus.Log, func() nodebus.Log) {
		path := newPath(t)
		db := open(t, path, nil)
		return db.Log(), func() nodebus.Log {
			require.NoError(t, db.Close())
			db = open(t, path, nil)
			return db.Log()
		}
	})
}
