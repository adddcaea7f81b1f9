package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
)

// openAt opens a file until the end of the test.
func openAt(t testing.TB, path string, opts *bolt.Options) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(path, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestLog(t *testing.T) {
	conform.Log(t, func(t *testing.T) nodebus.Log { return openAt(t, filepath.Join(t.TempDir(), "log.db"), nil).Log() })
}

func TestLogReopens(t *testing.T) {
	conform.LogReopens(t, func(t *testing.T) (nodebus.Log, func() nodebus.Log) {
		path := filepath.Join(t.TempDir(), "log.db")
		db := openAt(t, path, nil)
		return db.Log(), func() nodebus.Log {
			require.NoError(t, db.Close())
			db = openAt(t, path, nil)
			return db.Log()
		}
	})
}
