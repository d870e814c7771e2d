package bench

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// row makes runs of so many seconds, one a round.
func row(name string, seconds ...float64) Row {
	r := Row{Client: name, Linehaul: strings.HasPrefix(name, "linehaul")}
	for i, s := range seconds {
		r.Runs = append(r.Runs, Transfer{Round: i, Wall: time.Duration(s * float64(time.Second)), ClientCPU: time.Second, ServerCPU: 2 * time.Second, RSS: 10 << 20})
	}
	return r
}

// slowMachine is a case in whose second round everything took ten times as
// long, and in which one peer stopped and one never worked.
func slowMachine() Result {
	stopped := row("lftp", 300)
	stopped.Runs[0].TimedOut = true
	broken := row("rclone", 0.1)
	broken.Runs[0].Err = errors.New("exit status 1")
	return Result{
		Case: Case{Name: "1g-loopback/get", Files: 1, Size: 1 << 30, Goal: 2},
		Rows: []Row{row("linehaul", 1, 10, 1.25), row("sftp", 2, 20, 5), row("scp", 4, 40, 4), stopped, broken},
	}
}

// TestVerdict: ratios are taken within rounds, so that a slow round tells for
// nobody and against nobody.
func TestVerdict(t *testing.T) {
	r := slowMachine()
	v := r.Verdicts()
	if len(v) != 1 {
		t.Fatalf("%d verdicts, want 1", len(v))
	}
	want := Verdict{Case: "1g-loopback/get", Client: "linehaul", Peer: "scp", Speed: 4, Best: 4, Goal: 2, RSS: 10 << 20, Reached: true}
	if v[0] != want {
		t.Errorf("got  %+v\nwant %+v", v[0], want)
	}
	if got, want := v[0].String(), "1g-loopback/get: linehaul is 4.00 times the fastest peer (scp), best against best 4.00; goal 2, peak 10 MiB: reached"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.Rows[0].Runs[2].RSS = 200 << 20
	if got := r.Verdicts()[0]; got.Reached || got.word() != "missed by its memory" {
		t.Errorf("200 MiB: %s", got)
	}
	r.Rows[0].Runs = []Transfer{{Wall: 300 * time.Second, TimedOut: true}}
	if got := r.Verdicts()[0]; got.Reached || !got.AtMost || got.speed() != "<0.01" {
		t.Errorf("ended at the limit: %+v", got)
	}
	r.Rows[0].Runs = []Transfer{{Err: errors.New("exit status 5")}}
	if got := r.Verdicts()[0].String(); got != "1g-loopback/get: linehaul failed" {
		t.Error(got)
	}
	r.Rows = []Row{row("linehaul", 1)}
	if got := r.Verdicts()[0].String(); got != "1g-loopback/get: no peer to compare linehaul with" {
		t.Error(got)
	}
}

// TestOldProtocol: the goal is to be held against what people run; what can be told
// to speak the old protocol is named beside that.
func TestOldProtocol(t *testing.T) {
	r := slowMachine()
	old := row("scp -O", 2, 20, 2.5)
	old.Old = true
	r.Rows = append(r.Rows, old)
	v := r.Verdicts()[0]
	if v.Peer != "scp" || v.Speed != 4 || v.Old != "scp -O" || v.OldSpeed != 2 {
		t.Errorf("%+v", v)
	}
	if got := v.String(); !strings.HasSuffix(got, "reached; with the old protocol 2.00 times (scp -O)") {
		t.Error(got)
	}
	report := &Report{Results: []Result{r}}
	if got := report.markdown(); !strings.Contains(got, "| failed | 2.50 | 4.00 | 2.00 | 2 |") {
		t.Error(got)
	}
	r.Rows = []Row{row("linehaul", 1, 10, 1.25), old}
	if got := r.Verdicts()[0].String(); got != "1g-loopback/get: linehaul is 2.00 times scp -O, and no peer spoke SFTP" {
		t.Error(got)
	}
}

func TestCells(t *testing.T) {
	r := slowMachine()
	for i, want := range []string{
		"linehaul|3|1.25|1.00|10.00|819.2|1.00|4.00|1.00|2.00|10",
		"sftp|3|5.00|2.00|20.00|204.8|0.50|2.00|1.00|2.00|10",
		"scp|3|4.00|4.00|40.00|256.0|0.25|1.00|1.00|2.00|10",
		"lftp|1|>300|>300|>300|<3.4|<0.00|<0.01|||",
		"rclone|1|failed||||||||",
	} {
		cells := r.cells(r.Rows[i])
		if got := strings.Join(cells, "|"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if len(cells) != len(r.header()) {
			t.Errorf("%s: %d cells under %d heads", r.Rows[i].Client, len(cells), len(r.header()))
		}
	}
}

// TestPage: what is written by hand stays, what was measured is replaced.
func TestPage(t *testing.T) {
	report := &Report{Command: "bin/bench -case x", Machine: "2 cores", Versions: []string{"sftp 1"}, Results: []Result{slowMachine()}}
	const old = "# Title\n\nBy hand.\n\n<!-- measured: begin -->\nof yesterday\n<!-- measured: end -->\n\nBelow.\n"
	page, err := report.Page(old)
	if err != nil {
		t.Fatal(err)
	}
	again, err := report.Page(page)
	if err != nil || again != page {
		t.Errorf("a second time it differs, or fails with %v", err)
	}
	for _, want := range []string{
		"# Title\n\nBy hand.\n\n<!-- measured: begin -->\n\nMade by `bin/bench -case x` on 2 cores, with sftp 1.\n",
		"| case | build | s | sftp | scp | lftp | rclone | times the fastest | with the old protocol | goal | CPU s | server CPU s | MiB |\n",
		"| 1g-loopback/get | linehaul | 1.25 | 5.00 | 4.00 | >300 | failed | 4.00 | 4.00 | 2 | 1.00 | 2.00 | 10 |\n",
		"\n<!-- measured: end -->\n\nBelow.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "of yesterday") {
		t.Error("the old report is still there")
	}
	if _, err := report.Page("# Title\n"); err == nil {
		t.Error("a page without a place for it was written")
	}
}

// TestDigest: what arrives is told from what was sent by a byte, a name, and a
// file too many or too few.
func TestDigest(t *testing.T) {
	for _, files := range []int{1, 250} {
		c := Case{Files: files, Size: 1000}
		source, err := c.make(filepath.Join(t.TempDir(), "a"))
		if err != nil {
			t.Fatal(err)
		}
		if source.files != files || source.bytes != int64(files)*1000 {
			t.Errorf("made %d files of %d bytes, want %d", source.files, source.bytes, files)
		}
		same, err := c.make(filepath.Join(t.TempDir(), "b"))
		if err != nil || same.digest != source.digest {
			t.Errorf("made the same again and got another digest, or %v", err)
		}
	}

	c := Case{Files: 250, Size: 1000}
	for name, spoil := range map[string]func(string) error{
		"byte": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "d001/f00150"), make([]byte, 1000), 0o600)
		},
		"name": func(dir string) error {
			return os.Rename(filepath.Join(dir, "d001/f00150"), filepath.Join(dir, "d001/g"))
		},
		"missing": func(dir string) error { return os.Remove(filepath.Join(dir, "d002/f00200")) },
		"more":    func(dir string) error { return os.WriteFile(filepath.Join(dir, ".part"), nil, 0o600) },
	} {
		source, err := c.make(filepath.Join(t.TempDir(), "x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(source.path); err != nil {
			t.Fatal(err)
		}
		if got, err := digestOf(source.path); err != nil || got == source.digest {
			t.Errorf("%s: not seen, %v", name, err)
		}
	}
}

func TestScaled(t *testing.T) {
	for _, x := range []struct {
		c    Case
		by   float64
		want string
	}{
		{Case{Files: 1, Size: 1 << 30}, 1, "one file of 1 GiB on loopback, get"},
		{Case{Files: 1, Size: 1 << 30, Put: true, RTT: 50 * time.Millisecond}, 0.5, "one file of 512 MiB at 50 ms, put"},
		{Case{Files: 5000, Size: 4096}, 0.1, "500 files of 4 KiB on loopback, get"},
		{Case{Files: 5000, Size: 4096}, 0, "2 files of 4 KiB on loopback, get"},
		{Case{Files: 1, Size: 100}, 0.03, "one file of 3 bytes on loopback, get"},
	} {
		if got := x.c.scaled(x.by).String(); got != x.want {
			t.Errorf("got %q, want %q", got, x.want)
		}
	}
}
