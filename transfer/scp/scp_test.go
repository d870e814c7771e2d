package scp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/transfer/scp"
)

// recorded returns what OpenSSH 9.2's `scp -f` sent, all answers being good.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// walk accepts everything and describes it, a line for each step.
func walk(r *scp.Receiver) []string {
	var got []string
	for {
		rec, err := r.Next()
		var peer *scp.PeerError
		switch {
		case errors.As(err, &peer) && !peer.Fatal:
			got = append(got, "warning "+peer.Text)
			continue
		case err != nil:
			return append(got, err.Error())
		}
		body, err := r.Accept()
		switch {
		case rec.Kind == scp.End:
			got = append(got, "end")
			continue
		case err != nil:
			return append(got, err.Error())
		case rec.Kind == scp.Dir:
			got = append(got, fmt.Sprintf("%v %s", rec.Mode, rec.Name))
			continue
		}
		data, err := io.ReadAll(body)
		if err != nil {
			got = append(got, "body "+err.Error())
			continue
		}
		if len(data) > 10 {
			data = append(data[:10], "..."...)
		}
		got = append(got, fmt.Sprintf("%v %s %d %d %q", rec.Mode, rec.Name, rec.Size, max(rec.MTime.Unix(), 0), data))
	}
}

func TestReceiveRecorded(t *testing.T) {
	for _, tt := range []struct {
		file string
		o    scp.ReceiveOptions
		want []string
	}{
		{"file.scp", scp.ReceiveOptions{Name: "a.txt"}, []string{`-rwxr-xr-x a.txt 6 1580608922 "hello\n"`, "EOF"}},
		{"plain.scp", scp.ReceiveOptions{Name: "it's"}, []string{`-rw-r--r-- it's 1 0 "x"`, "EOF"}},
		{"absent.scp", scp.ReceiveOptions{Name: "absent"}, []string{"warning scp: t/absent: No such file or directory", "EOF"}},
		{"denied.scp", scp.ReceiveOptions{Name: "closed"}, []string{"warning scp: t/closed: Permission denied", "EOF"}},
		{"folder-without-r.scp", scp.ReceiveOptions{Name: "t"}, []string{"warning scp: t: not a regular file", "EOF"}},
		{"two.scp", scp.ReceiveOptions{}, []string{`-rwxr-xr-x a.txt 6 1580608922 "hello\n"`, `-rw-r--r-- empty 0 1580608922 ""`, "EOF"}},
		{"two.scp", scp.ReceiveOptions{Name: "a.txt"}, []string{`-rwxr-xr-x a.txt 6 1580608922 "hello\n"`,
			`not SCP: asked for "a.txt" and nothing else, was sent: "C0644 0 empty"`}},
		{"file.scp", scp.ReceiveOptions{Name: "b.txt"}, []string{`not SCP: asked for "b.txt" and nothing else, was sent: "C0755 6 a.txt"`}},
		{"newline.scp", scp.ReceiveOptions{Name: "new\nline"}, []string{
			`not SCP: asked for "new\nline" and nothing else, was sent: "C0644 2 new\\^Jline"`}},
		{"tree.scp", scp.ReceiveOptions{Name: "t"}, []string{`not SCP: a folder where a file was asked for: "D0755 0 t"`}},
		{"tree.scp", scp.ReceiveOptions{Name: "t", Recursive: true}, []string{
			"drwxr-xr-x t",
			`-rw-r--r-- 日本.txt 7 1580608922 "日本\n"`,
			"warning scp: t/fifo: not a regular file",
			"drwxr-xr-x with space", "end",
			"warning scp: t/dangling: No such file or directory",
			"warning scp: t/shut: Permission denied",
			`-rw-r--r-- empty 0 1580608922 ""`,
			`-rwxr-xr-x link 6 1580608922 "hello\n"`,
			"warning scp: t/closed: Permission denied",
			"drwxr-xr-x sub",
			`-rw-r--r-- zeros 3000 1580608922 "zzzzzzzzzz..."`,
			"drwxr-xr-x deep",
			`-rw-r--r-- "q" 2 1580608922 "q\n"`,
			"end", "end",
			`-rw-r--r-- new\^Jline 2 1580608922 "nl"`,
			`-rw-r--r-- it's 1 1580608922 "x"`,
			`-rwxr-xr-x a.txt 6 1580608922 "hello\n"`,
			"end", "EOF"}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			got := walk(scp.NewReceiver(bytes.NewReader(recorded(t, tt.file)), io.Discard, tt.o))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestReceiveRefusals: what a hostile or confused source may send.
func TestReceiveRefusals(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"empty name":         {"C0644 1 \n", "empty name"},
		"dot":                {"C0644 1 .\n", `name "."`},
		"dot dot":            {"D0755 0 ..\n", `name ".."`},
		"slash":              {"C0644 1 a/b\n", "slash"},
		"absolute":           {"C0644 1 /etc/passwd\n", "slash"},
		"zero byte":          {"C0644 1 a\x00b\n", "zero byte"},
		"long name":          {"C0644 1 " + strings.Repeat("n", 4097) + "\n", "name of 4097 bytes"},
		"endless line":       {"C0644 1 " + strings.Repeat("n", 100000), "line too long"},
		"cut line":           {"C0644 1 nam", "ends early"},
		"negative size":      {"C0644 -1 a\n", "bad size"},
		"size with sign":     {"C0644 +1 a\n", "bad size"},
		"huge size":          {"C0644 9223372036854775808 a\n", "bad size"},
		"no size":            {"C0644 a\n", "bad mode"},
		"bad mode":           {"C0999 1 a\n", "bad mode"},
		"mode with sign":     {"C-644 1 a\n", "bad mode"},
		"end at the top":     {"E\n", "never began"},
		"three times":        {"T1 0 1\n", "bad times"},
		"negative time":      {"T-1 0 1 0\n", "bad times"},
		"time past 9999":     {"T253402300800 0 1 0\n", "bad times"},
		"microseconds":       {"T1 1000000 1 0\n", "bad times"},
		"times twice":        {"T1 0 1 0\nT1 0 1 0\n", "times twice"},
		"times and no more":  {"T1 0 1 0\n", "unexpected EOF"},
		"open folder":        {"D0755 0 d\n", "unexpected EOF"},
		"short body":         {"C0644 5 a\nabc", "unexpected EOF"},
		"no status":          {"C0644 3 a\nabc", "unexpected EOF"},
		"bad status":         {"C0644 3 a\nabcd", "unexpected data"},
		"fatal":              {"\x02disk on fire\n", "disk on fire"},
		"words of a shell":   {"This account is\r\n\x1b[1mclosed", `not SCP: bad times: "This account is"`},
		"words of a profile": {"Welcome\r\n\x1b[1mto", `not SCP: unexpected data: "Welcome   [1mto"`},
		"deep":               {strings.Repeat("D0755 0 d\n", 300), "more than 256 folders"},
	} {
		t.Run(name, func(t *testing.T) {
			r := scp.NewReceiver(strings.NewReader(tt.in), io.Discard, scp.ReceiveOptions{Recursive: true})
			got := walk(r)
			if !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
			if _, err := r.Next(); err == nil {
				t.Error("the session goes on after that")
			}
		})
	}
}

// TestListing: refusing each child lists a folder without its data, and Next
// refuses what the caller leaves alone.
func TestListing(t *testing.T) {
	source := "T5 0 6 0\nD0755 0 d\nT7 0 8 0\nC0640 12345678901 big\nD0700 0 sub\n\x01scp: d/x: Permission denied\nC4755 1 tool\nE\n"
	var answers bytes.Buffer
	r := scp.NewReceiver(strings.NewReader(source), &answers, scp.ReceiveOptions{Recursive: true, Name: "d"})
	want := []string{
		"d rwxr-xr-x 0 5 6", "big rw-r----- 12345678901 7 8", "sub rwx------ 0 0 0",
		"Permission denied", "tool rwxr-xr-x 1 0 0", "end",
	}
	var got []string
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		var peer *scp.PeerError
		switch {
		case errors.As(err, &peer):
			got = append(got, peer.Text[strings.LastIndex(peer.Text, ": ")+2:])
			continue
		case err != nil:
			t.Fatal(err)
		case rec.Kind == scp.End:
			got = append(got, "end")
			continue
		}
		got = append(got, fmt.Sprintf("%s %s %d %d %d", rec.Name, rec.Mode.Perm().String()[1:], rec.Size, max(rec.MTime.Unix(), 0), max(rec.ATime.Unix(), 0)))
		switch rec.Name {
		case "d":
			if _, err := r.Accept(); err != nil {
				t.Fatal(err)
			}
		case "big":
			if err := r.Refuse("a listing\nonly"); err != nil {
				t.Fatal(err)
			}
		case "tool":
			if rec.Mode != 0o755|fs.ModeSetuid {
				t.Errorf("mode %v", rec.Mode)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	// Ready; T, D; T, C refused; D left alone; C left alone; E.
	if want := "\x00\x00\x00\x00\x01a listing only\n\x01not wanted\n\x01not wanted\n\x00"; answers.String() != want {
		t.Errorf("answers %q, want %q", answers.String(), want)
	}
}

// TestReceiveBody: the status behind the bytes counts, also for a caller who
// reads no further than to the last byte.
func TestReceiveBody(t *testing.T) {
	t.Run("bad at the end", func(t *testing.T) {
		r := scp.NewReceiver(strings.NewReader("C0644 3 a\nabc\x01scp: a: Input/output error\nC0644 1 b\nx\x00"), io.Discard, scp.ReceiveOptions{})
		r.Next()
		body, err := r.Accept()
		if err != nil {
			t.Fatal(err)
		}
		var peer *scp.PeerError
		if _, err := body.Read(make([]byte, 3)); !errors.As(err, &peer) || peer.Text != "scp: a: Input/output error" {
			t.Fatalf("read: %v", err)
		}
		if rec, err := r.Next(); err != nil || rec.Name != "b" {
			t.Errorf("next: %v, %v", rec, err)
		}
	})
	t.Run("not read to the end", func(t *testing.T) {
		var answers bytes.Buffer
		r := scp.NewReceiver(strings.NewReader("C0644 3 a\nabc\x00C0644 1 b\nx\x00"), &answers, scp.ReceiveOptions{})
		r.Next()
		r.Accept()
		if rec, err := r.Next(); err != nil || rec.Name != "b" {
			t.Fatalf("next: %v, %v", rec, err)
		}
		r.Accept()
		if err := r.Refuse("disk full"); err != nil {
			t.Fatal(err)
		}
		if want := "\x00\x00\x00\x00\x01disk full\n"; answers.String() != want {
			t.Errorf("answers %q, want %q", answers.String(), want)
		}
	})
}

// TestSendExact: the bytes of each step, against a sink that is content.
func TestSendExact(t *testing.T) {
	var out bytes.Buffer
	s := scp.NewSender(bytes.NewReader(make([]byte, 100)), &out)
	at := time.Unix(1580608922, 0)
	steps := []error{
		s.Mkdir(scp.Record{Name: "d e", Mode: 0o750 | fs.ModeDir, MTime: at, ATime: at.Add(time.Second)}),
		s.SendFile(scp.Record{Name: "日本", Mode: 0o644 | fs.ModeSetgid, Size: 3}, strings.NewReader("abcdef")),
		s.Warn("scp: x: gone\n"),
		s.EndDir(),
		s.SendFile(scp.Record{Name: "-r", Mode: 0, MTime: time.Unix(-5, 0)}, strings.NewReader("")),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	want := "T1580608922 0 1580608923 0\nD0750 0 d e\nC2644 3 日本\nabc\x00\x01scp: x: gone\nE\nT0 0 0 0\nC0000 0 -r\n\x00"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestSendErrors(t *testing.T) {
	file := scp.Record{Name: "f", Mode: 0o600, Size: 3}
	send := func(answers string) (*scp.Sender, *bytes.Buffer, error) {
		var out bytes.Buffer
		s := scp.NewSender(strings.NewReader(answers), &out)
		return s, &out, s.SendFile(file, strings.NewReader("abc"))
	}
	t.Run("refused, the next one is taken", func(t *testing.T) {
		s, out, err := send("\x00\x01scp: f: Permission denied\n\x00\x00")
		var peer *scp.PeerError
		if !errors.As(err, &peer) || peer.Fatal || peer.Text != "scp: f: Permission denied" {
			t.Fatal(err)
		}
		if err := s.SendFile(file, strings.NewReader("abc")); err != nil {
			t.Fatal(err)
		}
		if want := "C0600 3 f\nC0600 3 f\nabc\x00"; out.String() != want {
			t.Errorf("sent %q, want %q", out.String(), want)
		}
	})
	t.Run("not stored", func(t *testing.T) {
		if _, _, err := send("\x00\x00\x01scp: f: No space left on device\n"); err == nil || !strings.Contains(err.Error(), "No space left") {
			t.Fatal(err)
		}
	})
	t.Run("fatal", func(t *testing.T) {
		s, _, err := send("\x00\x02scp: protocol error: bad mode\n\x00\x00")
		var peer *scp.PeerError
		if !errors.As(err, &peer) || !peer.Fatal {
			t.Fatal(err)
		}
		if again := s.EndDir(); again != err {
			t.Errorf("after a fatal answer: %v", again)
		}
	})
	t.Run("no sink at all", func(t *testing.T) {
		_, out, err := send("bash: scp: command not found\n")
		var bad *scp.ProtocolError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "command not found") || out.Len() > 0 {
			t.Fatal(err, out)
		}
	})
	t.Run("closed", func(t *testing.T) {
		if _, _, err := send(""); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	})
	t.Run("body ends early", func(t *testing.T) {
		var out bytes.Buffer
		s := scp.NewSender(bytes.NewReader(make([]byte, 10)), &out)
		if err := s.SendFile(file, strings.NewReader("a")); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
		if err := s.EndDir(); err != nil {
			t.Fatal(err)
		}
		if want := "C0600 3 f\na\x00\x00\x01f: unexpected EOF\nE\n"; out.String() != want {
			t.Errorf("sent %q, want %q", out.String(), want)
		}
	})
	t.Run("pushed too much, then too little", func(t *testing.T) {
		s := scp.NewSender(bytes.NewReader(make([]byte, 10)), io.Discard)
		w, err := s.File(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("abcd")); err == nil {
			t.Error("wrote more than was announced")
		}
		if err := s.EndDir(); err == nil {
			t.Error("a record in the middle of a file")
		}
		if err := w.Close(); err == nil {
			t.Error("closed an unfinished file")
		}
	})
	t.Run("names", func(t *testing.T) {
		for _, name := range []string{"", "..", "a/b", "a\nb", "a\x00b"} {
			var out bytes.Buffer
			if err := scp.NewSender(bytes.NewReader(make([]byte, 10)), &out).Mkdir(scp.Record{Name: name}); err == nil || out.Len() > 0 {
				t.Errorf("%q: %v, sent %q", name, err, out.String())
			}
		}
	})
}

func TestTarget(t *testing.T) {
	for path, want := range map[string][2]string{
		"a.txt": {"a.txt", "a.txt"}, "/var/x/": {"/var/x", "x"}, "/": {"/.", "."}, ".": {".", "."}, "..": {"..", ".."},
		"//": {"/.", "."}, "-rf": {"-rf", "-rf"}, "d/it's": {"d/it's", "it's"},
	} {
		arg, name, err := scp.Target(path)
		if err != nil || arg != want[0] || name != want[1] {
			t.Errorf("Target(%q) = %q, %q, %v", path, arg, name, err)
		}
	}
	for _, path := range []string{"", "a\nb", "a\x00"} {
		if _, _, err := scp.Target(path); err == nil {
			t.Errorf("Target(%q) is taken", path)
		}
	}
}

// TestQuote asks a real shell what it makes of a quoted word.
func TestQuote(t *testing.T) {
	lab.Need(t, "sh")
	for _, word := range []string{"", "plain", "with space", "it's", "''", `"$(id)"`, "`id`", `back\slash\`, "new\nline", "*?[a]", "~", "日本", "!x", "-rf", "a;b|c&d>e"} {
		out, err := exec.Command("sh", "-c", "printf %s "+scp.Quote(word)).CombinedOutput()
		if err != nil || string(out) != word {
			t.Errorf("%q came out as %q (%v)", word, out, err)
		}
	}
}
