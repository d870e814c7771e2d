package bench

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain is the launcher of a client, if this process was started as one;
// else it reads the flags and runs the tests.
func TestMain(m *testing.M) {
	if Launched() {
		os.Exit(0)
	}
	flag.String("case", "^1g-loopback/|^1000x4k-50ms/get$", "run the cases whose names match this pattern")
	flag.Int("rounds", 1, "how often each client runs each case")
	flag.Float64("size", 0.002, "multiply the size of single files, and the number of many, by this")
	flag.String("linehaul", "", "comma-separated builds of linehaul, each PATH or NAME=PATH (default: build this source)")
	flag.String("peers", "sftp", "comma-separated peers, or all: "+strings.Join(PeerNames(), ", "))
	flag.Duration("limit", 5*time.Minute, "end a transfer that takes longer")
	flag.Duration("once", time.Minute, "a client that takes longer than this has no further rounds in that case")
	flag.String("dir", "", "put the files below this folder (default: in memory if there is room)")
	flag.String("out", "", "write the report to this file too")
	flag.Bool("markdown", false, "write the report into the page that -out names")
	flag.String("machine", fmt.Sprintf("%d cores", runtime.NumCPU()), "what the page calls this machine")
	os.Exit(m.Run())
}

// get reads a flag that TestMain made.
func get[T any](name string) T { return flag.Lookup(name).Value.(flag.Getter).Get().(T) }

// list splits a flag at its commas.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// command is the line that makes a report like this one: the flags that say
// what is run, without those that say where things are.
func command() string {
	line := "bin/bench"
	flag.Visit(func(f *flag.Flag) {
		switch v := f.Value.String(); {
		case strings.HasPrefix(f.Name, "test.") || f.Name == "linehaul" || f.Name == "dir" || f.Name == "machine":
		case f.Name == "out":
			line += " -out " + filepath.ToSlash(v)
		case v == "true":
			line += " -" + f.Name
		default:
			line += " -" + f.Name + " '" + v + "'"
		}
	})
	return line
}

// TestCompare is the benchmark. Without flags it moves a few files by linehaul
// and sftp, so that it stays in working order.
func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts other programs")
	}
	cases, err := regexp.Compile(get[string]("case"))
	if err != nil {
		t.Fatal(err)
	}
	peers := list(get[string]("peers"))
	if get[string]("peers") == "all" {
		peers = nil
	}
	report := Run(t, Options{
		Cases: cases, Rounds: get[int]("rounds"), Size: get[float64]("size"),
		Linehaul: list(get[string]("linehaul")), Peers: peers,
		Limit: get[time.Duration]("limit"), Once: get[time.Duration]("once"), Dir: get[string]("dir"), Log: os.Stderr, Save: saver(t),
	})
	checkReport(t, report)
	if err := report.Text(os.Stdout); err != nil {
		t.Fatal(err)
	}
}

// saver writes the report where -out says, so that hours of work are not lost
// with the last case.
func saver(t *testing.T) func(*Report) error {
	t.Helper()
	out, markdown := get[string]("out"), get[bool]("markdown")
	var page []byte
	if markdown {
		var err error
		if page, err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	return func(r *Report) error {
		r.Command, r.Machine = command(), get[string]("machine")
		var text strings.Builder
		switch {
		case out == "":
			return nil
		case markdown:
			written, err := r.Page(string(page))
			if err != nil {
				return err
			}
			text.WriteString(written)
		default:
			if err := r.Text(&text); err != nil {
				return err
			}
		}
		return os.WriteFile(out, []byte(text.String()), 0o644)
	}
}

// checkReport holds a report against what any run must show.
func checkReport(t *testing.T, r *Report) {
	t.Helper()
	for _, x := range r.Results {
		if len(x.Verdicts()) == 0 {
			t.Errorf("%s has no verdict on linehaul", x.Case.Name)
		}
		for _, row := range x.Rows {
			if len(row.Runs) == 0 {
				t.Errorf("%s: %s never ran", x.Case.Name, row.Client)
			}
			for _, run := range row.Runs {
				if run.Err == nil && !run.TimedOut && (run.Wall <= 0 || run.ClientCPU <= 0 || run.RSS <= 0) {
					t.Errorf("%s: %s took nothing: %s", x.Case.Name, row.Client, run)
				}
			}
		}
	}
}
