package linehaul

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// declared are the names at the top level of the packages below tunnel, tests
// and all build tags among them: ikev2.New, ikev2.Machine.Start, ikev2.TestChain.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("tunnel", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		in := filepath.Base(filepath.Dir(path)) + "."
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[in+receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[in+s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[in+n.Name] = true
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// receiver is the type of a method and a dot.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}

// TestProtocolPage: every function, type and test that docs/PROTOCOL.md names is
// there, and every row says what does it and what shows it, or that it is not
// done.
func TestProtocolPage(t *testing.T) {
	const page = "docs/PROTOCOL.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	names := declared(t)
	// A name in a package, and nothing else that stands in backquotes there.
	name := regexp.MustCompile("`((?:[a-z0-9]+\\.)+[A-Za-z0-9.]+|(?:Test|Fuzz)[A-Za-z0-9]+)`")
	_, rest, found := strings.Cut(string(b), "\n## ")
	if !found {
		t.Fatalf("%s has no section", page)
	}
	rows, seen, tests := 0, map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(rest) {
		for _, m := range name.FindAllStringSubmatch(line, -1) {
			seen[m[1]] = true
			if _, base, _ := strings.Cut(m[1], "."); strings.HasPrefix(base, "Test") || strings.HasPrefix(base, "Fuzz") {
				tests[m[1]] = true
			}
			if !names[m[1]] {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || strings.Contains(line, "| shown by |") {
			continue
		}
		rows++
		if len(cells) != 4 {
			t.Errorf("%d columns: %s", len(cells), line)
			continue
		}
		done, shown := name.MatchString(cells[2]), name.MatchString(cells[3])
		if !done && !strings.Contains(cells[2], " ") || !shown && !strings.Contains(line, "not done") && !strings.Contains(line, "not shown") {
			t.Errorf("neither done nor said to be missing: %s", line)
		}
	}
	if rows < 90 || len(seen) < 150 || len(tests) < 60 {
		t.Errorf("%d rows with %d names, %d of them tests: the search is broken", rows, len(seen), len(tests))
	}
	t.Logf("%d rows with %d names, %d of them tests", rows, len(seen), len(tests))
}
