package schedule_test

import (
	"flag"
	"os"
	"testing"

	"linehaul/internal/leak"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite golden files")
	os.Exit(leak.Main(m))
}
