package logs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestFieldsAreDocumented: docs/LOGGING.md has a row for each constant, and no
// other, in the same order.
func TestFieldsAreDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "fields.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, value)
		}
		return true
	})
	text, err := os.ReadFile("../docs/LOGGING.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9]+)` +\\|").FindAllSubmatch(text, -1) {
		documented = append(documented, string(row[1]))
	}
	if len(constants) < 25 || !slices.Equal(constants, documented) {
		t.Errorf("fields.go and docs/LOGGING.md differ:\n%q\n%q", constants, documented)
	}
}
