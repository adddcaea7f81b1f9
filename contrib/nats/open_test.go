package nats_test

import (
	"testing"

	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

func TestOpenAndClose(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	require.NoError(t, bus.Close())
	require.NoError(t, bus.Close())
}
