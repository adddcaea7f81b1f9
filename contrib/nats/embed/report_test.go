package embed_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// TestServerThatIsAwayIsNotReportedEachSecond: the default of a NATS server is a line for each
// attempt of each connection.
func TestServerThatIsAwayIsNotReportedEachSecond(t *testing.T) {
	reports := 0
	start(t, embed.Options{Dir: t.TempDir(), Tune: func(o *server.Options) { reports = o.ReconnectErrorReports }})
	require.Equal(t, 60, reports)
}
