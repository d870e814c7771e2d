package linehaul

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rows is ARCHITECTURE.md's table: a package imports only packages of strictly
// lower rows. A package that stands in no row fails the test.
func rows() map[string]int {
	return map[string]int{
		"cmd/linehaul":               7,
		"daemon":                     6,
		"job":                        5,
		"config":                     4,
		"schedule":                   3,
		"store":                      3,
		"store/db":                   2,
		"store/storetest":            4,
		"transfer/remote":            3,
		"transfer/remote/remotetest": 3,
		"keys":                       2,
		"bandwidth":                  1,
		"keys/guard":                 1,
		"keys/pageant":               1,
		"keys/ppk":                   1,
		"keys/puttyhosts":            1,
		"keys/sshconfig":             1,
		"logs":                       1,
		"preflight":                  3,
		"preflight/page":             4,
		"preflight/ping":             2,
		"preflight/echo":             1,
		"preflight/plot":             1,
		"preflight/pmtu":             2,
		"preflight/port":             1,
		"preflight/tcpinfo":          0,
		"preflight/trace":            2,
		"receipt":                    1,
		"retention":                  1,
		"schedule/queue":             4,
		"schedule/cron":              1,
		"schedule/calendar":          1,
		"schedule/depend":            1,
		"schedule/week":              0,
		"stamp":                      1,
		"transfer":                   1,
		"transfer/scp":               1,
		"transfer/sftp":              1,
		"tunnel":                     3,
		"tunnel/ikev2":               2,
		"tunnel/tunneltest":          2,
		"tunnel/suite":               1,
		"tunnel/ikemsg":              1,
		"tunnel/esp":                 1,
		"tunnel/netstack":            1,
		"tunnel/route":               1,
		"tunnel/bulletin":            1,
		"tunnel/pcapng":              1,
		"tunnel/proxy":               1,
		"tunnel/keylog":              2,
		"winsvc":                     1,
		"fault":                      0,
		"internal/bench":             1,
		"internal/device":            0,
		"internal/delay":             0,
		"internal/faulty":            0,
		"internal/flock":             0,
		"internal/icmp":              0,
		"internal/lab":               0,
		"internal/lab/gateway":       2,
		"internal/lab/netns":         1,
		"internal/lab/path":          2,
		"internal/lab/postgres":      1,
		"internal/leak":              0,
		"internal/pattern":           0,
		"internal/plainstack":        0,
		"internal/tunnelbench":       1,
	}
}

// homes names the only packages that may import a heavy outside module.
func homes() map[string][]string {
	return map[string][]string{
		"golang.org/x/crypto/ssh":       {"keys", "keys/ppk", "transfer/remote", "transfer/remote/remotetest"},
		"github.com/jackc/pgx":          {"store/db", "schedule/queue", "internal/lab/postgres"},
		"github.com/pkg/sftp":           {"transfer/remote/remotetest"},
		"github.com/goccy/go-yaml":      {"config"},
		"github.com/invopop/jsonschema": {"config"},
		"github.com/spf13/cobra":        {"cmd/linehaul"},
		"github.com/vbauerster/mpb":     {"cmd/linehaul"},
		"github.com/kardianos/service":  {"winsvc"},
		"github.com/robfig/cron":        {"schedule/cron"},
		"filippo.io/bigmod":             {"tunnel/suite"},
		"github.com/oschwald":           {"preflight/trace"},
		"github.com/cloudflare/circl":   {"tunnel/suite"},
		"gvisor.dev/gvisor":             {"tunnel/netstack", "internal/plainstack"},
		"modernc.org/sqlite":            {"store/db"},
		"github.com/riverqueue/river":   {"schedule/queue"},
	}
}

// TestLayers reads the imports of every package for each system, tests
// included, and holds them against the table.
func TestLayers(t *testing.T) {
	for _, goos := range []string{"linux", "windows", "darwin"} {
		t.Run(goos, func(t *testing.T) {
			ctx := build.Default
			ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = goos, "amd64", false
			seen := 0
			for _, dir := range packageDirs(t) {
				pkg, err := ctx.ImportDir(dir, 0)
				if none := (*build.NoGoError)(nil); errors.As(err, &none) {
					continue
				}
				if err != nil {
					t.Fatalf("read %s: %v", dir, err)
				}
				seen++
				checkImports(t, filepath.ToSlash(dir), pkg)
			}
			if seen < 2 {
				t.Fatalf("saw %d packages: the walk is broken", seen)
			}
		})
	}
}

func checkImports(t *testing.T, name string, pkg *build.Package) {
	row, known := rows()[name]
	if name == "." {
		row, known = 99, true
	}
	if !known {
		t.Errorf("package %s stands in no row: give it one in layers_test.go and docs/ARCHITECTURE.md", name)
		return
	}
	for _, path := range pkg.Imports {
		if own, ok := strings.CutPrefix(path, "linehaul/"); ok {
			if below, listed := rows()[own]; listed && below >= row {
				t.Errorf("%s (row %d) imports %s (row %d): only lower rows may be imported", name, row, own, below)
			}
		}
	}
	for _, path := range slices.Concat(pkg.Imports, pkg.TestImports, pkg.XTestImports) {
		for module, allowed := range homes() {
			if (path == module || strings.HasPrefix(path, module+"/")) && !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s, whose home is %s", name, path, strings.Join(allowed, ", "))
			}
		}
	}
}

// packageDirs lists every folder below the root that holds Go files.
func packageDirs(t *testing.T) []string {
	var dirs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir():
			if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) > 0 {
				dirs = append(dirs, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// TestPackageComments: a package says what it is in its first lines.
func TestPackageComments(t *testing.T) {
	for _, dir := range packageDirs(t) {
		pkg, err := build.ImportDir(dir, build.ImportComment)
		if none := (*build.NoGoError)(nil); errors.As(err, &none) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(pkg.Doc) < 40 {
			t.Errorf("%s has no package comment worth the name", dir)
		}
	}
	if _, err := os.Stat("go.mod"); err != nil {
		t.Fatal("not run at the root: ", err)
	}
}
