package transfer_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// badNames are refused everywhere, badOnWindows only there.
func badNames() []string {
	return []string{"", ".", "..", "/", "a/b", "/etc/passwd", "../x", "a\x00", strings.Repeat("n", 4097)}
}

func badOnWindows() []string {
	return []string{
		`a\b`, `..\x`, "a:b", "c:", "a:$DATA", "a<b", "a>b", `"`, "a|b", "a?", "a*", "a\nb", "a\x1f", "a.", "a ", "...", "CON", "con", "nul.txt",
		"NUL .a", "COM1", "com9.log", "LPT0", "COM²", "AUX.tar.gz", "conin$", "prn", "\xff\xfe",
	}
}

func goodNames() []string {
	return []string{"a", "a.b", ".a", "..a", "a b", "é", "名前", "-rf", "'", ";", "COM", "COM10", "console", "nulx", "a~1", "%TEMP%", "$(x)", strings.Repeat("n", 300)}
}

func TestCheckName(t *testing.T) {
	for _, name := range badNames() {
		if err := transfer.CheckName(name); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("%.20q: got %v", name, err)
		}
	}
	for _, name := range goodNames() {
		if err := transfer.CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range badOnWindows() {
		if err := transfer.CheckName(name); (err != nil) != (runtime.GOOS == "windows") {
			t.Errorf("%q: got %v", name, err)
		}
		if transfer.BadWindowsName(name) == "" {
			t.Errorf("%q would be taken on Windows", name)
		}
	}
	for _, name := range goodNames() {
		if why := transfer.BadWindowsName(name); why != "" {
			t.Errorf("%q would be refused on Windows: %s", name, why)
		}
	}
}

func TestCheckTarget(t *testing.T) {
	for _, target := range []string{"", "/a", "..", "../a", "a/../../b", "a/..", "a//b", "a/", "./a", "a/./b", "a\x00"} {
		if err := transfer.CheckTarget(transfer.Item{Source: "/s/a", Rel: "a", Target: target}); !fault.Is(err, fault.Config) {
			t.Errorf("%q: got %v", target, err)
		}
		if err := transfer.CheckTarget(transfer.Item{Source: "/s/a", Rel: "x/..", Target: target}); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("%q from a bad name: got %v", target, err)
		}
	}
	for _, target := range []string{"a", "a/b", ".a", "a/..b", filepath.Join("a", "b")} {
		if err := transfer.CheckTarget(transfer.Item{Source: "/s/a", Rel: "x/..", Target: target}); err != nil {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestPartName(t *testing.T) {
	long := strings.Repeat("é", 127) + "x" // 255 bytes
	for name, want := range map[string]string{
		"a.gz": ".a.gz." + run + ".part",
		"":     "", ".": "", long: "",
	} {
		got := transfer.PartName(name, run)
		if want != "" && got != want {
			t.Errorf("%q: got %q", name, got)
		}
		stem, of, ok := transfer.ParsePart(got)
		if name != "" && (!ok || of != run || stem == "" || len(got) > 255 || strings.ToValidUTF8(got, "") != got) {
			t.Errorf("%q: %q is read as %q, %q, %v", name, got, stem, of, ok)
		}
	}
	if transfer.PartName(long, run) == transfer.PartName(long[:254]+"y", run) {
		t.Error("two long names have one temporary name")
	}
	for _, foreign := range []string{
		".part", "a.part", ".a.part", "." + run + ".part", ".." + run + ".part", ".a." + run, "a." + run + ".part", ".a." + run + ".part.gz",
		".a." + strings.ToUpper(run) + ".part", ".a.20261123T023001-123x7k2q.part", ".a.20261123T023001Z-123x7k2.part",
		".a.20261123T023001Z-123x7k2qq.part", ".a.2026x123T023001Z-123x7k2q.part", ".a-" + run + ".part", ".a." + run + ".PART",
	} {
		if _, _, ok := transfer.ParsePart(foreign); ok {
			t.Errorf("%q is taken for ours", foreign)
		}
	}
}

func items(names ...string) []transfer.Item {
	var list []transfer.Item
	for _, n := range names {
		i := transfer.Item{Source: "/s/" + n, Path: n, Rel: strings.TrimSuffix(n, "/")}
		if strings.HasSuffix(n, "/") {
			i.Entry = dir().entry(i.Rel)
		}
		list = append(list, i)
	}
	return list
}

func TestPlace(t *testing.T) {
	upper := func(i transfer.Item) (string, error) { return strings.ToUpper(i.Rel), nil }
	first := func(i transfer.Item) (string, error) { return i.Rel[:1], nil }
	tests := []struct {
		name  string
		fold  bool
		items []transfer.Item
		by    func(transfer.Item) (string, error)
		want  []string // targets, or what the error says
	}{
		{"apart", false, items("a", "b/c", "b/d"), byRel, []string{"a", "b/c", "b/d"}},
		{"case apart", false, items("a", "A"), byRel, []string{"a", "A"}},
		{"folders join", true, items("d/a", "d/b", "d/"), byRel, []string{"d/a", "d/b", "d"}},
		{"folders alike do not", true, items("d/a", "D/b"), byRel, []string{"differ in case"}},
		{"together", false, items("a", "x", "A"), upper, []string{`"/s/a" and "/s/A" would both go to "A"`}},
		{"case together", true, items("a", "A"), byRel, []string{`"/s/A" cannot go to "A": there goes "/s/a"`}},
		{"case beyond ASCII", true, items("straße/ſ", "STRAßE/S"), byRel, []string{"differ in case"}},
		{"by other spelling", false, items("a/b", "a//b"), byRel, []string{"would both go to"}},
		{"a file in a folder's place", false, items("a", "a/b"), byRel, []string{"one would be a file"}},
		{"and the other way", false, items("a/b/c", "a"), byRel, []string{"one would be a file"}},
		{"an empty folder in a file's place", false, items("ab", "ac/"), first, []string{"one would be a file"}},
		{"no name", false, items("a"), func(transfer.Item) (string, error) { return "", nil }, []string{"no path"}},
		{"naming fails", false, items("a"), func(transfer.Item) (string, error) { return "", fault.New(fault.Config, "boom") }, []string{"boom"}},
		{"remote paths", false, items("a", "b"), func(i transfer.Item) (string, error) { return "/in/" + i.Rel, nil }, []string{"/in/a", "/in/b"}},
		{"nothing", false, nil, byRel, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			placed, err := transfer.Place(tt.items, tt.fold, tt.by)
			if err != nil {
				alike := strings.Contains(err.Error(), "differ in case") // the names' fault, and not the naming's
				if fault.Is(err, fault.RemoteFile) != alike || fault.Is(err, fault.Config) == alike || len(tt.want) != 1 || !strings.Contains(err.Error(), tt.want[0]) {
					t.Fatal(err)
				}
				return
			}
			var got []string
			for i, p := range placed {
				got = append(got, p.Target)
				if tt.items[i].Target != "" {
					t.Error("the argument was changed")
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzPlace: a target that is accepted lies below the root, whatever names a
// server sends and whatever a template makes of them; and no two are one.
func FuzzPlace(f *testing.F) {
	for _, n := range slices.Concat(badNames(), badOnWindows(), goodNames()) {
		f.Add(n, "b", "")
		f.Add("a", n, "sub/")
		f.Add(n, n, "../")
	}
	f.Fuzz(func(t *testing.T, a, b, prefix string) {
		if len(a)+len(b)+len(prefix) > 500 {
			return
		}
		list := []transfer.Item{{Source: "/s/a", Rel: a}, {Source: "/s/a/b", Rel: a + "/" + b}}
		safe := transfer.CheckName(a) == nil && transfer.CheckName(b) == nil
		name := func(i transfer.Item) (string, error) { return prefix + i.Rel, nil }
		if _, err := transfer.Place(list, true, name); err == nil && safe {
			t.Fatalf("%q as a file and as a folder was accepted", a)
		}
		placed, err := transfer.Place(list[1:], true, name)
		if err != nil {
			return
		}
		err = transfer.CheckTarget(placed[0])
		if err == nil {
			if !filepath.IsLocal(placed[0].Target) || strings.ContainsRune(placed[0].Target, 0) {
				t.Errorf("accepted %q", placed[0].Target)
			}
			rel, err := filepath.Rel("/root", filepath.Join("/root", placed[0].Target))
			if err != nil || rel == ".." || strings.HasPrefix(rel, "../") || rel == "." {
				t.Errorf("%q leads to %q", placed[0].Target, rel)
			}
		} else if safe && prefix == "" {
			t.Errorf("names %q and %q are good, and their target is not: %v", a, b, err)
		}
		if e := (*fault.Error)(nil); err != nil && !errors.As(err, &e) {
			t.Errorf("unsorted: %v", err)
		}
	})
}
