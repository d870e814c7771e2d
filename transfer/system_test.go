package transfer_test

import (
	"iter"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"linehaul/fault"
	"linehaul/transfer"
)

func TestMapName(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "a.txt", "a:b": "a\uf03ab", `a\b`: "a\uf05cb", "x?*": "x\uf03f\uf02a", "tab\t": "tab\uf009",
		"dot.": "dot\uf02e", "dots..": "dots.\uf02e", "space ": "space\uf020", ". ": ".\uf020", "...": "..\uf02e",
		"CON": "\uf043ON", "nul.txt": "\uf06eul.txt", "COM¹": "\uf043OM¹", "Lpt9 .x": "\uf04cpt9 .x", "conin$": "\uf063onin$",
		"\xff": "\uf0ff", "a\xe9.txt": "a\uf0e9.txt", "é": "é", "日本": "日本", "COM10": "COM10", "a b": "a b", "CON.": "CON\uf02e",
	} {
		mapped, ok := transfer.MapName(name)
		if !ok || mapped != want {
			t.Errorf("%q is mapped to %q, %v; want %q", name, mapped, ok, want)
		}
		if why := transfer.BadWindowsName(mapped); why != "" {
			t.Errorf("%q is mapped to %q, and %s", name, mapped, why)
		}
		if back := transfer.UnmapName(mapped); back != name {
			t.Errorf("%q comes back as %q", name, back)
		}
	}
	for _, name := range []string{"a\uf03ab", "\uf001", "\uf0ff"} {
		if mapped, ok := transfer.MapName(name); ok {
			t.Errorf("%q is mapped to %q, and could not be told from another one", name, mapped)
		}
	}
	// What no name is mapped to stays: nobody makes a slash or a NUL of it.
	for _, mapped := range []string{"a\uf02fb", "\uf02f\uf02e\uf02e\uf02f", "a\uf041", "\uf02e\uf02e", "\uf0c3\uf0a9", "\uf02ea"} {
		if back := transfer.UnmapName(mapped); back != mapped {
			t.Errorf("%q comes back as %q", mapped, back)
		}
	}
}

// FuzzMapName: a name that a file can have on Unix is one that it can have on
// Windows when it is mapped, and comes back as it was.
func FuzzMapName(f *testing.F) {
	for _, n := range slices.Concat(badOnWindows(), goodNames(), []string{"a\uf03ab", "\uf02f", "\uf02e.", "nul\xff."}) {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, name string) {
		back := transfer.UnmapName(name)
		if back != name && (strings.ContainsAny(back, "/\x00") || back == "" || back == "." || back == "..") {
			t.Fatalf("%q comes back as %q", name, back)
		}
		if len(name) > 1000 || name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return
		}
		mapped, ok := transfer.MapName(name)
		if !ok {
			private := strings.ContainsFunc(name, func(r rune) bool { return 0xf001 <= r && r <= 0xf0ff })
			if !private {
				t.Fatalf("%q cannot be mapped", name)
			}
			return
		}
		if transfer.BadWindowsName(mapped) != "" || !utf8.ValidString(mapped) {
			t.Errorf("%q is mapped to %q", name, mapped)
		}
		if transfer.BadWindowsName(name) == "" && mapped != name {
			t.Errorf("%q is mapped to %q without need", name, mapped)
		}
		if back := transfer.UnmapName(mapped); back != name {
			t.Errorf("%q is mapped to %q, and comes back as %q", name, mapped, back)
		}
	})
}

func seq(list []transfer.Item) iter.Seq2[transfer.Item, error] {
	return func(yield func(transfer.Item, error) bool) {
		for _, i := range list {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// TestPlacingBySystem: which names a target can have, and which are the same.
func TestPlacingBySystem(t *testing.T) {
	byRelIn := func(i transfer.Item) (string, error) { return "in/" + i.Rel, nil }
	folds := func(yes bool) func(string) bool { return func(string) bool { return yes } }
	byName := func(i transfer.Item) (string, error) { return "by/" + i.Entry.Name, nil }
	tests := []struct {
		name  string
		p     transfer.Placing
		items []string
		want  []string // targets; what begins with ! is a part of the error that comes instead
		kind  fault.Kind
	}{
		{"refused on Windows", transfer.Placing{Target: transfer.Windows}, []string{"a:b", "ok", "d/NUL.txt", "d/x"}, []string{"!Windows does not allow", "ok", "!device", "d/x"}, fault.RemoteFile},
		{"mapped", transfer.Placing{Target: transfer.Windows, Names: transfer.MapNames}, []string{"a:b", "d/NUL.txt", "e./x"}, []string{"a\uf03ab", "d/\uf04eUL.txt", "e\uf02e/x"}, 0},
		{"mapped where it could not be told", transfer.Placing{Target: transfer.Windows, Names: transfer.MapNames}, []string{"a\uf03ab", "a:b"}, []string{"!stands for another", "a\uf03ab"}, fault.RemoteFile},
		{"no matter on Unix", transfer.Placing{Target: transfer.Unix}, []string{"a:b", "NUL"}, []string{"a:b", "NUL"}, 0},
		{"nor mapped there", transfer.Placing{Target: transfer.Unix, Names: transfer.MapNames}, []string{"a:b"}, []string{"a:b"}, 0},
		{"put to Windows", transfer.Placing{Put: true, Target: transfer.Windows, Source: transfer.Unix, Name: byRelIn}, []string{`a\b`, "c"}, []string{"!Windows does not allow", "in/c"}, fault.LocalDisk},
		{"put to a drive", transfer.Placing{Put: true, Target: transfer.Windows, Name: func(i transfer.Item) (string, error) { return "/C:/in/" + i.Rel, nil }}, []string{"c"}, []string{"/C:/in/c"}, 0},
		{"put back", transfer.Placing{Put: true, Target: transfer.Unix, Source: transfer.Windows, Names: transfer.MapNames, Name: byRelIn}, []string{"a\uf03ab", "e\uf02e/x"}, []string{"in/a:b", "in/e./x"}, 0},
		{"put back from Unix", transfer.Placing{Put: true, Target: transfer.Unix, Source: transfer.Unix, Names: transfer.MapNames, Name: byRelIn}, []string{"a\uf03ab"}, []string{"in/a\uf03ab"}, 0},
		{"by name", transfer.Placing{Target: transfer.Windows, Name: byName}, []string{"x:y/a", "b"}, []string{"by/a", "by/b"}, 0},
		{"a naming that is wrong", transfer.Placing{Target: transfer.Windows, Name: func(transfer.Item) (string, error) { return "a:b", nil }}, []string{"a", "b"}, []string{"!on Windows"}, fault.Config},
		{"case on Windows", transfer.Placing{Target: transfer.Windows}, []string{"a", "A", "b"}, []string{"a", "!differ in case", "b"}, fault.RemoteFile},
		{"case on macOS", transfer.Placing{Target: transfer.MacOS}, []string{"a", "A"}, []string{"a", "!differ in case"}, fault.RemoteFile},
		{"case on Unix", transfer.Placing{Target: transfer.Unix}, []string{"a", "A"}, []string{"a", "A"}, 0},
		{"case on a server that folds", transfer.Placing{Put: true, Target: transfer.Unix, Folds: folds(true)}, []string{"a", "A", "b", "B"}, []string{"a", "!differ in case", "b", "!differ in case"}, fault.LocalDisk},
		{"case on a server that does not", transfer.Placing{Put: true, Target: transfer.Unix, Folds: folds(false)}, []string{"a", "A", "b", "B"}, []string{"a", "A", "b", "B"}, 0},
		{"folders on a server that folds", transfer.Placing{Put: true, Target: transfer.Unix, Folds: folds(true)}, []string{"D/a", "d/c", "e"}, []string{"D/a", "!differ", "e"}, fault.LocalDisk},
		{"put, case", transfer.Placing{Put: true, Target: transfer.Windows}, []string{"a", "A"}, []string{"a", "!differ in case"}, fault.LocalDisk},
		{"NFC and NFD on macOS", transfer.Placing{Target: transfer.MacOS}, []string{"e\u0301", "\u00e9", "\u00c9"}, []string{"e\u0301", "!normalization", "!normalization"}, fault.RemoteFile},
		{"NFC and NFD on Windows", transfer.Placing{Target: transfer.Windows}, []string{"e\u0301", "\u00e9"}, []string{"e\u0301", "\u00e9"}, 0},
		{"folders alike", transfer.Placing{Target: transfer.Windows}, []string{"D/a", "D/b", "d/a", "d/c", "e"}, []string{"D/a", "D/b", "!differ", "!differ", "e"}, fault.RemoteFile},
		{"a file like a folder", transfer.Placing{Target: transfer.Windows}, []string{"D/a", "d"}, []string{"D/a", "!differ"}, fault.RemoteFile},
		{"a naming that clashes ends it", transfer.Placing{Target: transfer.Unix, Name: func(transfer.Item) (string, error) { return "x", nil }}, []string{"a", "b", "c"}, []string{"x", "!would both go"}, fault.Config},
	}
	for _, tt := range tests {
		for _, tree := range []bool{false, true} {
			if tree && tt.kind == fault.Config || tree && strings.HasPrefix(tt.name, "by name") {
				continue // no tree
			}
			t.Run(tt.name, func(t *testing.T) {
				p := tt.p
				if p.Tree = tree; p.Name == nil {
					p.Name = byRel
				}
				list := items(tt.items...)
				for i := range list {
					list[i].Entry.Name = list[i].Rel[strings.LastIndex(list[i].Rel, "/")+1:]
				}
				n := 0
				for item, err := range p.Place(seq(list)) {
					if n == len(tt.want) {
						t.Fatalf("too much: %q, %v", item.Target, err)
					}
					said, fails := strings.CutPrefix(tt.want[n], "!")
					switch {
					case !fails && (err != nil || item.Target != tt.want[n]):
						t.Errorf("%s goes to %q, %v; want %q", list[n].Source, item.Target, err, tt.want[n])
					case fails && (!fault.Is(err, tt.kind) || !strings.Contains(err.Error(), said) || item.Source != list[n].Source):
						t.Errorf("%s (%s): %v (%v), want %q (%v)", list[n].Source, item.Source, err, kind(err), said, tt.kind)
					}
					n++
				}
				if n != len(tt.want) {
					t.Errorf("%d came, want %d", n, len(tt.want))
				}
			})
		}
	}
}

// TestTreeSaysTheSame: holding names folder by folder finds what holding all
// of them finds, on trees in the order in which they come.
func TestTreeSaysTheSame(t *testing.T) {
	for _, system := range []transfer.System{transfer.Unix, transfer.Windows, transfer.MacOS} {
		for n := range 200 {
			list := someTree(n)
			var said [2][]string
			for i, tree := range []bool{false, true} {
				for item, err := range (transfer.Placing{Name: byRel, Target: system, Tree: tree}).Place(seq(list)) {
					line := item.Source + " " + item.Target
					if err != nil {
						line = item.Source + " refused"
					}
					said[i] = append(said[i], line)
				}
			}
			if !slices.Equal(said[0], said[1]) {
				t.Fatalf("%s: %q\nby folder: %q", system, said[0], said[1])
			}
		}
	}
}

// someTree makes one of many small trees, in order, with names that are alike.
func someTree(n int) []transfer.Item {
	names := []string{"A", "B", "E\u0301", "a", "b", "e\u0301", "\u00c9", "\u00e9"}
	var list []transfer.Item
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, name := range names {
			n = n*1103515245 + 12345
			pick := (n >> 16) & 7
			p := strings.TrimPrefix(dir+"/"+name, "/")
			switch {
			case pick < 2 && depth < 3:
				fill(p, depth+1)
			case pick < 5:
				list = append(list, transfer.Item{Source: "/s/" + p, Rel: p, Entry: transfer.Entry{Name: name}})
			}
		}
	}
	fill("", 1)
	return list
}
