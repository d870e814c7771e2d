package tunnel_test

import (
	"os"
	"testing"

	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
