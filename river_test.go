package linehaul

import (
	"os"
	"strings"
	"testing"
)

// TestRiverVersions: River's modules are made for each other at one version
// only, and MVS would take the core alone to a newer one without a word. The
// go command refuses to build when go.mod does not name the versions that it
// takes, so that go.mod is the word on the build.
func TestRiverVersions(t *testing.T) {
	b, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		want bool
	}{
		"equal":    {"require github.com/riverqueue/river v0.49.0\nrequire (\n\tgithub.com/riverqueue/river/rivertype v0.49.0 // indirect\n)\n", true},
		"unequal":  {"require (\n\tgithub.com/riverqueue/river v0.51.1\n\tgithub.com/riverqueue/river/rivertype v0.49.0\n)\n", false},
		"none":     {"require (\n\tgithub.com/riverqueue/riverbed v0.1.0\n)\n", false},
		"replaced": {"require github.com/riverqueue/river v0.49.0\nrequire github.com/riverqueue/river/rivertype v0.49.0\nreplace github.com/riverqueue/river => ../river\n", false},
		"go.mod":   {string(b), true},
	} {
		if wrong := riverVersions(c.file); (wrong == "") != c.want {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// riverVersions says what is wrong with River's modules in a go.mod.
func riverVersions(file string) string {
	var seen []string
	versions := map[string]bool{}
	for line := range strings.Lines(file) {
		line, _, _ = strings.Cut(line, "//")
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "require" {
			f = f[1:]
		}
		for i, path := range f {
			if path != "github.com/riverqueue/river" && !strings.HasPrefix(path, "github.com/riverqueue/river/") {
				continue
			}
			if i > 0 || len(f) < 2 || strings.Contains(line, "=>") {
				return "River is replaced or excluded: " + strings.TrimSpace(line)
			}
			versions[f[1]] = true
			seen = append(seen, path+" "+f[1])
		}
	}
	switch {
	case len(seen) < 2:
		return "River's modules are not required, so that none can be compared"
	case len(versions) > 1:
		return "River's modules are of several versions: " + strings.Join(seen, ", ")
	default:
		return ""
	}
}
