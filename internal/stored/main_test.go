package stored_test

import (
	"os"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
