package receipt_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/receipt"
)

// reports are one of a chain in which nothing is wrong, and one with a finding of
// each kind, as they are.
func reports() map[string]*receipt.Report {
	good := &receipt.Report{
		Version: receipt.ReportVersion, OK: true, Node: "hk-a", Begin: receipt.Place{Seq: 40, Hash: receipt.HashOf("40")}, End: receipt.Place{Seq: 52, Hash: receipt.HashOf("52")},
		Receipts: 12, Anchored: true, Notes: 1, ByKind: map[receipt.Kind]int64{receipt.FileSuperseded: 1},
		Files: &receipt.Counts{Lines: 20, Same: 12, Bytes: 123_456, Unhashed: 2, Superseded: 1, Failed: 1, Removed: 2, NotHere: 4, Sources: 3},
		Findings: []receipt.Finding{
			{Kind: receipt.FileSuperseded, Seq: 41, Run: runID(1), Line: 3, Path: "/backup/a b.gz", By: 44, Text: "receipt 44 has a newer file there"},
		},
	}
	bad := &receipt.Report{Version: receipt.ReportVersion, Run: runID(1), End: receipt.Place{Seq: 3, Hash: receipt.HashOf("3")}, Receipts: 3, Problems: 1005, Notes: 1, More: 1000,
		ByKind: map[receipt.Kind]int64{receipt.ReceiptChanged: 2, receipt.FileMissing: 1001, receipt.ReceiptDropped: 1, receipt.RunWithout: 1, receipt.NotCheckable: 1},
		Findings: []receipt.Finding{
			{Kind: receipt.ReceiptChanged, Problem: true, Seq: 1, Run: runID(0), Want: "aa", Got: "bb", Text: "its SHA-256 is not the one in the record of its run"},
			{Kind: receipt.ReceiptChanged, Problem: true, Seq: 2, Last: 3, Run: "evil\nrun \x1b[31m", Text: "the second does not follow the first: one of the two was changed"},
			{Kind: receipt.ReceiptDropped, Problem: true, Seq: 4, Run: runID(4), Text: "it is missing"},
			{Kind: receipt.RunWithout, Problem: true, Run: runID(5), Text: "it has ended, and its record names no receipt"},
			{Kind: receipt.FileMissing, Problem: true, Seq: 1, Run: runID(0), Line: 7, Path: `C:\backup\Grüße` + "\n<b>.gz", Text: "it is not there"},
			{Kind: receipt.NotCheckable, Seq: 1, Run: runID(0), Files: 2, Text: "2 files: they are on the server"},
		},
	}
	chainOnly := &receipt.Report{Version: receipt.ReportVersion, OK: true, ByKind: map[receipt.Kind]int64{}, Findings: []receipt.Finding{}}
	return map[string]*receipt.Report{"good": good, "bad": bad, "empty": chainOnly}
}

// TestReportGolden: the lines and the JSON of a report are what people and programs
// read.
func TestReportGolden(t *testing.T) {
	for name, r := range reports() {
		golden(t, name+".txt", r.String())
		var b bytes.Buffer
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", b.String())
		var back receipt.Report
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || !reflect.DeepEqual(&back, r) {
			t.Errorf("%s: %+v became %+v (%v)", name, r, back, err)
		}
		if n := int64(strings.Count(r.String(), "\n")); n > int64(len(r.Findings))+4 {
			t.Errorf("%s: %d lines for %d findings", name, n, len(r.Findings))
		}
	}
}

// TestReportErr: problems end the program as a failed verification does, and notes
// do not.
func TestReportErr(t *testing.T) {
	all := reports()
	if err := all["good"].Err(); err != nil {
		t.Error(err)
	}
	err := all["bad"].Err()
	if !fault.Is(err, fault.Verify) || fault.ExitCode(err) != 11 || fault.Transient(err) || fault.HintOf(err) == "" || !strings.HasPrefix(err.Error(), "1005 problems") {
		t.Errorf("%v", err)
	}
}

// TestPage: docs/RECEIPTS.md says of each kind what the package says.
func TestPage(t *testing.T) {
	const page, head = "../docs/RECEIPTS.md", "| kind | what it means |\n|---|---|\n"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), head)
	if len(parts) != 3 {
		t.Fatalf("the page has %d tables of kinds, not two", len(parts)-1)
	}
	tables := [2]string{}
	for _, k := range receipt.Kinds() {
		i := 1
		if k.Problem() {
			i = 0
		}
		if k.Doc() == "" {
			t.Errorf("%s is not explained", k)
		}
		tables[i] += "| `" + string(k) + "` | " + k.Doc() + " |\n"
	}
	var want strings.Builder
	want.WriteString(parts[0])
	for i, rest := range parts[1:] {
		for strings.HasPrefix(rest, "|") {
			_, rest, _ = strings.Cut(rest, "\n")
		}
		want.WriteString(head + tables[i] + rest)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want.String() != string(b) {
		t.Error("the tables of kinds are other than the package has them: run this test with -update")
	}
}

// TestKeyOf: Windows takes no notice of case and of which slash it is.
func TestKeyOf(t *testing.T) {
	for _, tt := range []struct {
		a, b    string
		windows bool
		same    bool
	}{
		{`C:\Backup\A.gz`, `c:\backup\a.GZ`, true, true},
		{`C:\Backup\A.gz`, `C:/Backup/A.gz`, true, true},
		{`C:\Ä`, `c:\ä`, true, true},
		{"/a/b", "/a/./b", false, true},
		{"/a/b", "/a/B", false, false},
		{`/a\b`, "/a/b", false, false},
	} {
		if got := receipt.KeyOf(tt.a, tt.windows) == receipt.KeyOf(tt.b, tt.windows); got != tt.same {
			t.Errorf("%q and %q are the same: %v", tt.a, tt.b, got)
		}
	}
}
