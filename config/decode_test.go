package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/config"
	"linehaul/fault"
)

var update = flag.Bool("update", false, "rewrite the golden reports")

// TestReport holds the report of each bad file against the one beside it.
func TestReport(t *testing.T) {
	unixOnly(t)
	t.Setenv("HOME", "/home/jephe")
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("found %d bad files (%v)", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Decode(filepath.Base(path), data)
			if !fault.Is(err, fault.Config) {
				t.Fatalf("error %v, want one of kind config", err)
			}
			var problems config.Errors
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("error %v holds no problems", err)
			}
			got := problems.Report()
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("report:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
