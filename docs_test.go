package linehaul

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/transfer"
)

// update makes the tests write what they would compare.
func update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite golden files")
	os.Exit(m.Run())
}

// documents are the pages that people read.
func documents(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	adrs, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, f := range append(append(files, adrs...), "README.md", "CHANGELOG.md") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pages[f] = string(b)
	}
	if len(pages) < 6 {
		t.Fatalf("saw %d pages: the search is broken", len(pages))
	}
	return pages
}

// TestErrorsPageGolden: docs/ERRORS.md says of each kind what package fault
// says.
func TestErrorsPageGolden(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# When something fails

linehaul prints one line that names the layer and the thing, and a hint on the next; the run's log and record hold the
same. The exit code tells the layers apart as far as a script needs it. "Tried again" is what a job's ` + "`retry`" + ` does:
what cannot pass is tried once.

| exit code | layer | tried again | next step |
|---|---|---|---|
| 0 | | | done |
`)
	for _, k := range fault.Kinds() {
		again := "no"
		if k.Transient() {
			again = "yes"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", k.ExitCode(), k, again, strings.ReplaceAll(k.Hint(), "|", "\\|"))
	}
	b.WriteString("\nA place that knows better gives a hint of its own, such as the known_hosts line to add. Skipping by hooks belongs\nto a later version; its code is fixed already. What each check may say, with its next step, is in [CHECKS](CHECKS.md).\n")
	golden(t, "docs/ERRORS.md", b.String())
}

// TestReasonsGolden: docs/SELECTION.md ends with the reasons that package
// transfer has.
func TestReasonsGolden(t *testing.T) {
	const page, head = "docs/SELECTION.md", "\n| reason | what it means |\n|---|---|\n"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(b), head)
	if !ok || len(transfer.Reasons()) < 20 {
		t.Fatalf("%s has no table, or there are only %d reasons", page, len(transfer.Reasons()))
	}
	want := before + head
	for _, r := range transfer.Reasons() {
		want += fmt.Sprintf("| %s | %s |\n", r, r.Doc())
	}
	golden(t, page, want)
}

// schema is the part of a JSON Schema that the config page shows.
type schema struct {
	Description          string             `json:"description"`
	Type                 string             `json:"type"`
	Enum                 []string           `json:"enum"`
	Default              any                `json:"default"`
	Examples             []any              `json:"examples"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
	AnyOf                []*schema          `json:"anyOf"`
	OneOf                []*schema          `json:"oneOf"`
	Required             []string           `json:"required"`
}

// TestConfigPageGolden: docs/CONFIG.md is made from the schema, and so from
// the types that the config is decoded into.
func TestConfigPageGolden(t *testing.T) {
	raw, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# The config file\n\n" +
		"One YAML file, read strictly: an unknown or repeated key is an error with file, line and column, and so is a key of a\n" +
		"later version. `linehaul config init` writes a first one, `linehaul config check` shows every error of yours, and\n" +
		"`linehaul config schema` prints the JSON Schema for your editor. Paths in it are relative to the file.\n")
	rows := 0
	describe(&b, "Top level", "", &root, &rows)
	b.WriteString("\n## A first one\n\nThis is what `linehaul config init` writes:\n\n```yaml\n" + string(config.Sample()) + "```\n")
	if rows < 30 {
		t.Fatalf("the schema gave %d keys: it was not understood", rows)
	}
	golden(t, "docs/CONFIG.md", b.String())
}

// TestChecksPageGolden: the verdicts on docs/CHECKS.md are those that the checks
// have.
func TestChecksPageGolden(t *testing.T) {
	const page, title = "docs/CHECKS.md", "## Every verdict\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(text), title)
	if !found {
		t.Fatalf("%s has no %q", page, title)
	}
	var b strings.Builder
	b.WriteString(before + title + "\n\"...\" is what was measured; the code stands in `--json`.\n\n| code | verdict | layer | text | next step |\n|---|---|---|---|---|\n")
	open := regexp.MustCompile(`%(\[[0-9]\])?[sdv]|%q`)
	for _, v := range preflight.Texts() {
		layer := ""
		if v.Layer != fault.Internal {
			layer = v.Layer.String()
		}
		cell := func(s string) string { return strings.ReplaceAll(open.ReplaceAllString(s, "..."), "|", "\\|") }
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", v.Code, v.Verdict, layer, cell(v.Format), cell(v.Hint))
	}
	golden(t, page, b.String())
}

// describe writes the table of a section, and those of the sections in it.
func describe(b *strings.Builder, title, path string, s *schema, rows *int) {
	fmt.Fprintf(b, "\n## %s\n\n| key | default | what it is |\n|---|---|---|\n", title)
	keys := slices.Sorted(maps.Keys(s.Properties))
	for _, key := range keys {
		p := s.Properties[key]
		*rows++
		what := p.Description
		if len(p.Enum) > 0 {
			what += " One of `" + strings.Join(p.Enum, "`, `") + "`."
		}
		if len(p.Examples) > 0 {
			what += fmt.Sprintf(" For example `%v`.", p.Examples[0])
		}
		def := ""
		if p.Default != nil {
			def = fmt.Sprintf("`%v`", p.Default)
		}
		if slices.Contains(s.Required, key) {
			def = "needed"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", key, def, strings.ReplaceAll(what, "|", "\\|"))
	}
	for _, key := range keys {
		p := s.Properties[key]
		for _, c := range append([]*schema{p}, append(p.AnyOf, p.OneOf...)...) {
			if len(c.Properties) > 0 {
				describe(b, "`"+path+key+"`", path+key+".", c, rows)
			}
			var each schema
			if json.Unmarshal(c.AdditionalProperties, &each) == nil && len(each.Properties) > 0 {
				describe(b, "`"+path+key+".NAME`", path+key+".NAME.", &each, rows)
			}
		}
	}
}

// golden holds a page against what it should be, or writes it.
func golden(t *testing.T, page, want string) {
	t.Helper()
	if update() {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: run `make golden`", page)
	}
}

// TestLinks: every relative link leads somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	count := 0
	for page, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			count++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	if count == 0 {
		t.Error("saw no link at all")
	}
}

// TestExamples: every YAML example is a config that is accepted. Windows paths
// are tried in Unix clothes, as paths are judged by the system they are on.
func TestExamples(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	drive := regexp.MustCompile(`'[A-Z]:\\[^']*'`)
	count := 0
	for page, text := range documents(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			count++
			text := drive.ReplaceAllStringFunc(m[1], func(p string) string {
				return "'" + strings.ReplaceAll(p[3:], `\`, "/")
			})
			text = strings.ReplaceAll(text, "SHA256:…", "SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s")
			if _, err := config.Decode(filepath.Join(t.TempDir(), "linehaul.yaml"), []byte(text)); err != nil {
				t.Errorf("%s: %v in the example\n%s", page, err, m[1])
			}
		}
	}
	if count < 4 {
		t.Errorf("saw %d examples: the search is broken", count)
	}
}
