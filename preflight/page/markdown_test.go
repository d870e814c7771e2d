package page

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMarkdownGolden(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Markdown(&b, e.report, e.options); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", e.name+".md")
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("%s is not what is written now:\n%s", file, b.String())
			}
		})
	}
}

// TestMarkdownHostile: no text of a report becomes markup, a line, a cell of a
// table or a fence.
func TestMarkdownHostile(t *testing.T) {
	lines := func(text string) (string, []string) {
		r, o, _ := everywhere(text)
		var b bytes.Buffer
		if err := Markdown(&b, r, o); err != nil {
			t.Fatal(err)
		}
		return b.String(), strings.Split(b.String(), "\n")
	}
	bars := func(line string) int { return strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") }
	link := regexp.MustCompile(`[^\\]\]\(.{0,20}`)
	_, want := lines("harmless")
	for _, text := range append(hostile(), "a | b", "```\n# head", "[x](http://evil.example)", "![x](y)", "www.evil.example", "@everyone #1", "a\n\n# b", "$x$", "__b__ **c**", "~~~") {
		all, got := lines(text)
		if len(got) != len(want) {
			t.Errorf("%q: %d lines, want %d", text, len(got), len(want))
			continue
		}
		for i := range got {
			if bars(got[i]) != bars(want[i]) || strings.HasPrefix(got[i], "```") != strings.HasPrefix(want[i], "```") {
				t.Errorf("%q: a line is %q, not as %q", text, got[i], want[i])
			}
		}
		for _, bad := range []string{"<script", "<img", "<b>", "<!--", "://", "www.evil", "@everyone", "\x1b", "\u202e"} {
			if strings.Contains(all, bad) {
				t.Errorf("%q: %q is in the page", text, bad)
			}
		}
		if link.MatchString(all) {
			t.Errorf("%q makes a link: %q", text, link.FindString(all))
		}
	}
}

// TestJSON: what is written can be read again, and is the same.
func TestJSON(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := JSON(&b, e.report, e.options); err != nil {
				t.Fatal(err)
			}
			var got File
			d := json.NewDecoder(bytes.NewReader(b.Bytes()))
			d.DisallowUnknownFields()
			if err := d.Decode(&got); err != nil {
				t.Fatal(err)
			}
			var again bytes.Buffer
			if err := JSON(&again, got.Report, Options{Before: got.Before, History: got.History}); err != nil {
				t.Fatal(err)
			}
			if again.String() != b.String() {
				t.Error("written, read and written, it is another")
			}
			if got.Version != FileVersion || len(got.Report.Findings) != len(e.report.Findings) || len(got.History) != len(e.options.History) || !reflect.DeepEqual(got.Report.Transfer, e.report.Transfer) {
				t.Errorf("got %d findings and version %d", len(got.Report.Findings), got.Version)
			}
			if bytes.Contains(b.Bytes(), []byte(`"findings": null`)) {
				t.Error("a list is null")
			}
		})
	}
}
