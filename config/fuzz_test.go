package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
)

func addSeeds(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds in %s (%v)", pattern, err)
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add(config.Sample())
}

// FuzzDecode: no input panics or takes long; what is accepted holds the
// invariants and is accepted by the schema too; what is refused says where and
// why, sorted by position.
func FuzzDecode(f *testing.F) {
	addSeeds(f)
	f.Setenv("HOME", "/home/jephe")
	schema, _ := compileSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		began := time.Now()
		file, err := config.Decode("/etc/linehaul/linehaul.yaml", data)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if err == nil {
			checkInvariants(t, file)
			if err := schema.Validate(asJSON(t, data)); err != nil {
				t.Errorf("the schema refuses it: %v", err)
			}
			return
		}
		var problems config.Errors
		if !fault.Is(err, fault.Config) || !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("error %v", err)
		}
		lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), "\n") + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" {
				t.Errorf("problem %+v in a file of %d lines", p, lines)
			}
		}
		if !slices.IsSortedFunc(problems, func(a, b config.Problem) int { return a.Line - b.Line }) {
			t.Errorf("not sorted: %v", problems)
		}
		if report := problems.Report(); strings.ContainsFunc(report, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
			t.Errorf("the report holds a control character: %q", report)
		}
	})
}

// TestHostileFiles: what is built to take long, or to nest deep, does not.
func TestHostileFiles(t *testing.T) {
	long := func(s string) string { return strings.Repeat(s, (40<<10)/len(s)) }
	lines := func(s string) string { return long(strings.Repeat(s, 4000/len(s)) + "\n") }
	var laughs, chain strings.Builder
	laughs.WriteString("hosts:\n  a0: &a0 {address: x, user: y}\n")
	chain.WriteString("hosts:\n  a0: &a0 {address: x, user: y}\n")
	for i := 1; i < 60; i++ {
		n, before := string(rune('A'+i/10))+string(rune('0'+i%10)), string(rune('A'+(i-1)/10))+string(rune('0'+(i-1)%10))
		if i == 1 {
			before = "a0"
		}
		laughs.WriteString("  " + n + ": &" + n + " {<<: [" + strings.TrimSuffix(strings.Repeat("*"+before+", ", 10), ", ") + "]}\n")
		chain.WriteString("  " + n + ": &" + n + " {<<: *" + before + "}\n")
	}
	var many strings.Builder
	many.WriteString("hosts:\n  a: &a\n    address: x\n    user: y\n    keys: &k [" + strings.TrimSuffix(strings.Repeat("k, ", 1000), ", ") + "]\n")
	for range 3000 {
		many.WriteString("  h" + strings.Repeat("x", 5) + ": *a\n")
	}
	files := map[string]string{
		"keys": long("a: b\n"), "list": long("- b\n"), "flow list": "[" + lines("b, "), "flow map": "{" + lines("b: c, "),
		"tabs in quotes": lines("\"\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t"), "merge keys": lines("<<"), "quotes": lines("'' "),
		"brackets": lines("["), "dashes": lines("- "), "anchors": lines("&a "), "aliases": lines("*a "), "tags": lines("!a "),
		"question marks": lines("? "), "colons": lines(": "), "comments": long("# x\n"), "literal": "a: |\n" + long("  x\n"),
		"one line": long("x"), "passwords": long("password: x\n"), "words": lines("pass word "), "new lines": long("\n"), "CR": long("\r"),
		"laughs": laughs.String(), "chain": chain.String(), "one list at many places": many.String(),
		"unknown keys": long("aaaaaaaa:\n"), "NUL": long("\x00"), "not UTF-8": long("\xff\n"),
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := config.Decode("linehaul.yaml", []byte(data))
			took := time.Since(began)
			if name == "chain" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil {
				t.Error("accepted")
			}
			if took > 20*time.Second { // a busy machine and the race detector take their part
				t.Errorf("took %v", took)
			}
		})
	}
}
