package remotetest

import (
	"strings"
	"testing"

	"linehaul/transfer/scp"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string]string{
		`scp -f -p -- 'it'\''s'`:                "scp|-f|-p|--|it's",
		`mkdir -- 'a' || test -d 'a'`:           "mkdir|--|a|<||>|test|-d|a",
		`test ! -d "b" && mv -f -- a\ b  'c d'`: "test|!|-d|b|<&&>|mv|-f|--|a b|c d",
		`a ''`:                                  "a|",
		`a&&b`:                                  "a|<&&>|b",
		`scp -t .`:                              "scp|-t|.",
		``:                                      "",
	} {
		words, err := split(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		var got []string
		for _, w := range words {
			if w.operator {
				w.text = "<" + w.text + ">"
			}
			got = append(got, w.text)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for _, line := range []string{"a;b", "a|b", "a&b", "$x", "`x`", "a > b", "a\nb", "'a", `"a`, "(a)"} {
		if words, err := split(line); err == nil {
			t.Errorf("%q became %v", line, words)
		}
	}
}

// FuzzSplit: what our own client quotes comes out as one word, the same, and
// nothing makes split panic.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"plain", "it's", "a b", "$(id)", "''", `\`, "new\nline", "scp -f -p -- 'x'", "a && b || c", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		split(s)
		words, err := split("scp -f -- " + scp.Quote(s) + " && true")
		if err != nil || len(words) != 6 || words[3].text != s || !words[4].operator {
			t.Fatalf("%q became %v, %v", s, words, err)
		}
	})
}
