package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite golden files")

func newApp(out *bytes.Buffer) *app {
	return &app{stdin: strings.NewReader(""), stdout: out, stderr: out, env: func(string) string { return "" }, now: time.Now}
}

// TestHelpGolden: the help of each verb is what testdata/help holds, so that a
// change of a flag is seen in review, and each verb and flag says what it does.
func TestHelpGolden(t *testing.T) {
	root := newApp(&bytes.Buffer{}).root()
	verbs := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		verbs++
		if c.Short == "" {
			t.Errorf("%s has no short help", c.CommandPath())
		}
		checkHelp(t, c)
		for _, sub := range c.Commands() {
			if sub.Name() != "help" {
				visit(sub)
			}
		}
	}
	visit(root)
	if verbs < 15 {
		t.Errorf("saw %d verbs", verbs)
	}
}

func checkHelp(t *testing.T, c *cobra.Command) {
	t.Helper()
	var out bytes.Buffer
	root := newApp(&out).root()
	root.SetOut(&out)
	root.SetArgs(append(strings.Fields(c.CommandPath())[1:], "--help"))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "help", strings.ReplaceAll(c.CommandPath(), " ", "-")+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the help of %s changed: run `make golden`\n%s", c.CommandPath(), out.String())
	}
}
