package conform_test

import (
	"testing"

	"github.com/nodebus/nodebus/conform"
	"github.com/stretchr/testify/require"
)

// TestClosedLineSendsNothing sends over a line that is closed: a frame that has room counts as
// sent no more after a frame that had none, or their order would be lost.
func TestClosedLineSendsNothing(t *testing.T) {
	require.Equal(t, []bool{false, false}, conform.SentOverClosed(5, "a frame", "b"))
}
