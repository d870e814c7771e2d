package puttyhosts_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"linehaul/keys/puttyhosts"
)

// FuzzParse reads any file. Every line is an entry or a problem; a host name is
// one word of known_hosts; and the file without the problems reads the same.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(recorded)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for line := range strings.Lines(string(text)) {
		f.Add(line)
	}
	f.Add("ssh-ed25519@22:h 0x0,0x1\r\n\r\nrsa2@22:h 0x3,0x" + strings.Repeat("f", 128) + "\n")
	f.Add("rsa@22:h 0x23,0x1\nh 2301/cdab\ndss@1:[::1] 0x1,0x1,0x1,0x1\x00\n")
	f.Fuzz(func(t *testing.T, text string) {
		cache, err := puttyhosts.Parse("F", []byte(text))
		if err != nil {
			return
		}
		lines := strings.Split(text, "\n")
		blank := 0
		for _, l := range lines {
			if strings.Trim(l, "\r\n") == "" {
				blank++
			}
		}
		if len(cache.Entries)+len(cache.Problems) != len(lines)-blank {
			t.Fatalf("%d lines, %d blank: %d entries and %d problems", len(lines), blank, len(cache.Entries), len(cache.Problems))
		}
		var again strings.Builder
		for _, e := range cache.Entries {
			if e.Host == "" || strings.ContainsAny(e.Host, " \t\r\n\x00*?!,|@#[]\"\\") || e.Port < 1 || e.Port > 65535 {
				t.Fatalf("%q port %d", e.Host, e.Port)
			}
			if !strings.Contains(string(e.Blob[:30]), e.Type) {
				t.Fatalf("a key of type %s is % x", e.Type, e.Blob)
			}
			var number int
			if _, err := fmt.Sscanf(e.Place, "F:%d", &number); err != nil || number < 1 || number > len(lines) {
				t.Fatalf("place %q of %d lines", e.Place, len(lines))
			}
			again.WriteString(lines[number-1] + "\n")
		}
		second, err := puttyhosts.Parse("F", []byte(again.String()))
		if err != nil || len(second.Problems) != 0 || len(second.Entries) != len(cache.Entries) {
			t.Fatalf("read again: %+v, %v", second, err)
		}
		for i, e := range second.Entries {
			if first := cache.Entries[i]; e.Host != first.Host || e.Port != first.Port || string(e.Blob) != string(first.Blob) {
				t.Fatalf("%+v became %+v", first, e)
			}
		}
	})
}
