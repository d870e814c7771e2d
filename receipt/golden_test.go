package receipt_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"linehaul/internal/lab"
	"linehaul/receipt"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is other than it was:\n%s", path, got)
	}
}

// sample is a chain of three: a first one with little in it, one with everything,
// and a put that failed.
func sample(t testing.TB) *memory {
	m := &memory{}
	m.add(t, receipt.Head{
		Run: "20261122T183001Z-123x7k2q", Job: "nightly-db", Trigger: "hand", Started: start().Add(-8 * time.Hour), Ended: start().Add(-8 * time.Hour),
		Node: "hk-a", Program: "1.0.0", Way: receipt.Get, Host: "hk1", State: "skipped", Code: 75,
	})
	m.add(t, receipt.Head{
		Run: "20261123T023001Z-123abcde", Job: "nightly-db", Trigger: "schedule", Nominal: start().Truncate(time.Minute), Started: start(), Ended: start().Add(90 * time.Second),
		Node: "hk-a", Program: "1.0.0", Way: receipt.Get, Host: "hk1", Address: "10.20.0.5:22",
		HostKey: &receipt.HostKey{Type: "ssh-ed25519", Fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrWJXb8+DjYeZ5z8bZTtKxXQ"},
		Link:    &receipt.Link{Name: "hongkong", SPIs: []string{"c0ffee01/0badf00d"}},
		Checks:  &receipt.Checks{Verdict: "warn", Layer: "ping", Summary: "5% of 20 echoes were lost"},
		State:   "warning", Code: 9, Layer: "partly done", Error: `1 of 5 files failed, first: "/var/backups/<new>.gz": permission denied`,
		Attempts: 2, Matched: 5, Moved: 4, Failed: 1, Skipped: 1, Removed: 1, Bytes: 1_234_567,
	},
		receipt.File{Source: "/var/backups/a b.gz", Target: "/backup/20261123/a b.gz", Bytes: 1_234_567, MTime: start().Add(-time.Hour), SHA256: hashOf("a"), Verified: "sha256 by sha256sum", After: "deleted"},
		receipt.File{Source: "/var/backups/Grüße.gz", Target: `C:\backup\Grüße.gz`, MTime: time.Unix(1_700_000_000, 1).In(time.FixedZone("", 3600))},
		receipt.File{Source: "/var/backups/\xff", Target: "/backup/\xff", SHA256: hashOf("")},
		receipt.File{Source: "/var/backups/dir", Target: "/backup/dir", Kind: receipt.Folder, After: receipt.SourceMoved, AfterTo: "/var/done/dir"},
		receipt.File{Source: "/var/backups/<new>.gz", Target: "/backup/<new>.gz", Error: "permission denied"},
		receipt.File{Target: "/backup/old.gz", Gone: "retention"},
		receipt.File{Source: "/var/backups/b.gz", Target: "/backup/20261123/b.gz", Bytes: 7, SHA256: hashOf("b"), Take: 1, Node: "hk-b"},
	)
	m.add(t, receipt.Head{
		Run: "20261123T023201Z-000abcde", Job: "send", Trigger: "hand", Started: start().Add(2 * time.Minute), Ended: start().Add(3 * time.Minute),
		Way: receipt.Put, Host: "hk1", State: "failed", Code: 3, Layer: "tcp", Error: "connect to 10.20.0.5:22: connection refused", Attempts: 5,
	})
	return m
}

// TestGolden: the same receipts are the same bytes for ever.
func TestGolden(t *testing.T) {
	m := sample(t)
	var chain, list bytes.Buffer
	if err := receipt.WriteHeads(context.Background(), m, &chain); err != nil {
		t.Fatal(err)
	}
	if err := receipt.WriteList(context.Background(), m, 2, &list); err != nil {
		t.Fatal(err)
	}
	golden(t, "chain.jsonl", chain.String())
	golden(t, "files.jsonl", list.String())
}

// TestByHand: sha256sum says what the receipts say, as docs/RECEIPTS.md has it.
func TestByHand(t *testing.T) {
	lab.Need(t, "sha256sum", "sh")
	sum := func(command string) string {
		return strings.Fields(lab.Run(t, "sh", "-c", command+" | sha256sum"))[0]
	}
	m := sample(t)
	second, err := receipt.Decode(m.heads[1].Text)
	if err != nil {
		t.Fatal(err)
	}
	third, err := receipt.Decode(m.heads[2].Text)
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"sed -n 1p testdata/chain.jsonl": second.Prev.String(),
		"sed -n 2p testdata/chain.jsonl": third.Prev.String(),
		"sed -n 3p testdata/chain.jsonl": m.end().Hash.String(),
		"cat testdata/files.jsonl":       second.Files.SHA256.String(),
		"cat /dev/null":                  third.Files.SHA256.String(),
	} {
		if got := sum(command); got != want {
			t.Errorf("%s | sha256sum: %s, and the receipts say %s", command, got, want)
		}
	}
}

// TestSameBack: what was sealed reads as what it was made of, and random heads and
// files too.
func TestSameBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 300 {
		h := someHead(r, i)
		s, err := receipt.Seal(h, receipt.Place{Seq: int64(i) + 5, Hash: receipt.HashOf(fmt.Sprint(i))})
		if err != nil {
			t.Fatal(err)
		}
		got, err := receipt.Decode(s.Text)
		if err != nil {
			t.Fatalf("%v in %s", err, s.Text)
		}
		if got.Seq != s.Seq || got.Prev != receipt.HashOf(fmt.Sprint(i)) || s.Hash != receipt.HashOf(s.Text) || !got.Started.Equal(h.Started) ||
			got.Error != strings.ToValidUTF8(h.Error, "\ufffd") || got.Bytes != h.Bytes || (got.HostKey == nil) != (h.HostKey == nil) {
			t.Fatalf("%+v became %+v", h, got)
		}
		f := someFile(r)
		text, err := new(receipt.List).Add(f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := receipt.DecodeFile(text)
		if err != nil {
			t.Fatal(err)
		}
		f.Verified, f.Error, f.MTime = strings.ToValidUTF8(f.Verified, "\ufffd"), strings.ToValidUTF8(f.Error, "\ufffd"), f.MTime.UTC()
		if f.MTime.IsZero() {
			f.MTime = time.Time{}
		}
		if !reflect.DeepEqual(f, back) {
			t.Fatalf("%+v became %+v", f, back)
		}
	}
}

// TestTruncated: each beginning of a receipt is refused, and of a line too.
func TestTruncated(t *testing.T) {
	m := sample(t)
	for n := range m.heads[1].Text {
		if _, err := receipt.Decode(m.heads[1].Text[:n]); err == nil {
			t.Errorf("a head of %d bytes was taken", n)
		}
	}
	line := m.lists[2][0]
	for n := range line {
		if _, err := receipt.DecodeFile(line[:n]); err == nil {
			t.Errorf("a line of %d bytes was taken", n)
		}
	}
}

// TestBounds: what a server says never makes a receipt that is too long to be read,
// or none.
func TestBounds(t *testing.T) {
	for _, s := range []string{"\x01", "\xff\x01", "ü", "🚚", "\u2028", `"`} {
		long := strings.Repeat(s, 300_000/len(s))
		h := receipt.Head{
			Run: long, Job: long, Trigger: long, Node: long, Program: long, Way: receipt.Get, Host: long, Address: long, State: long, Layer: long, Error: long,
			HostKey: &receipt.HostKey{Type: long, Fingerprint: long}, Link: &receipt.Link{Name: long}, Checks: &receipt.Checks{Verdict: long, Layer: long, Summary: long},
			Started: time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC), Ended: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		for i := range 1000 {
			h.Link.SPIs = append(h.Link.SPIs, fmt.Sprint(i)+long[:999])
		}
		sealed, err := receipt.Seal(h, receipt.Place{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := receipt.Decode(sealed.Text)
		if err != nil || len(got.Link.SPIs) != 64 || !strings.HasPrefix(got.Link.SPIs[63], "999") || !utf8.ValidString(got.Error) || !strings.HasSuffix(got.Error, "...") || len(sealed.Text) > receipt.MaxHead {
			t.Fatalf("%q: %v", s, err)
		}
		line, err := new(receipt.List).Add(receipt.File{Source: long, Target: long, AfterTo: long, Verified: long, Error: long, Gone: long, After: long, Kind: long, MTime: h.Started})
		if err != nil {
			t.Fatal(err)
		}
		f, err := receipt.DecodeFile(line)
		if err != nil || !f.Cut || len(f.Source) > receipt.MaxPath || len(f.Source) < receipt.MaxPath-4 || !strings.HasPrefix(long, f.Source) || len(line) > receipt.MaxLine {
			t.Fatalf("%q: %v, %d bytes of a path", s, err, len(f.Source))
		}
	}
	if _, err := receipt.Decode(strings.Repeat(" ", receipt.MaxHead+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
	if _, err := receipt.DecodeFile(strings.Repeat(" ", receipt.MaxLine+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

// TestRefused: what is no receipt, or not in its form, is refused.
func TestRefused(t *testing.T) {
	m := sample(t)
	whole, line := m.heads[1].Text, m.lists[2][0]
	for _, tt := range []struct{ name, old, new string }{
		{"a space", `,"seq"`, `, "seq"`},
		{"a field that is not known", `{"receipt":1`, `{"receipt":1,"x":1`},
		{"a field twice", `"code":9`, `"code":8,"code":9`},
		{"another case", `"code"`, `"Code"`},
		{"another order", `"code":9,"layer":"partly done"`, `"layer":"partly done","code":9`},
		{"an escape", `"nightly-db"`, `"\u006eightly-db"`},
		{"another zone", "02:30:01.123Z", "02:30:01.123+00:00"},
		{"a number in another form", `"bytes":1234567`, `"bytes":1.234567e6`},
		{"version 0", `"receipt":1`, `"receipt":0`},
		{"number 0", `"seq":2`, `"seq":0`},
		{"a hash in capitals", `"prev":"`, `"prev":"A`},
		{"no run", `"run":"20261123T023001Z-123abcde"`, `"run":""`},
		{"another way", `"way":"get"`, `"way":"got"`},
		{"lines below 0", `"lines":7`, `"lines":-7`},
	} {
		text := strings.Replace(whole, tt.old, tt.new, 1)
		if text == whole {
			t.Errorf("%s: the test changes nothing", tt.name)
		}
		if _, err := receipt.Decode(text); err == nil || receipt.Newer(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, tt := range []struct{ name, old, new string }{
		{"a space", `,"target"`, `, "target"`},
		{"a field that is not known", `,"target"`, `,"x":1,"target"`},
		{"a hash that is none", `"sha256":"`, `"sha256":"0`},
		{"bytes below 0", `"bytes":1`, `"bytes":-1`},
		{"a take below 0", `,"after":"deleted"`, `,"after":"deleted","take":-1`},
		{"raw bytes of what is UTF-8", `"target":`, `"source_raw":"L3Zhcg==","target":`},
	} {
		text := strings.Replace(line, tt.old, tt.new, 1)
		if text == line {
			t.Errorf("%s: the test changes nothing", tt.name)
		}
		if _, err := receipt.DecodeFile(text); err == nil {
			t.Errorf("of a file, %s: it was taken", tt.name)
		}
	}
	if _, err := receipt.Seal(receipt.Head{State: "ok"}, receipt.Place{}); err == nil {
		t.Error("a receipt of no run was made")
	}
	if _, err := new(receipt.List).Add(receipt.File{SHA256: "x"}); err == nil {
		t.Error("a line with a bad SHA-256 was made")
	}
}
