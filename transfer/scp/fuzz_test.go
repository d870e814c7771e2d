package scp_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/transfer/scp"
)

// FuzzReceiver: whatever a source sends, no name comes out that could leave a
// folder, no mode above 07777, no negative size, no more bytes than announced;
// every session ends; and a session that ended stays so.
func FuzzReceiver(f *testing.F) {
	files, err := filepath.Glob("testdata/*.scp")
	if err != nil || len(files) < 5 {
		f.Fatal("the recordings are gone: ", err)
	}
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint16(0), "")
		f.Add(data, uint16(0x5a5a<<i), "t")
	}
	f.Add([]byte("T1 0 1 0\nD0755 0 ..\n"), uint16(0), "")
	f.Add([]byte("C0644 9223372036854775807 a\nxx"), uint16(0), "a")
	f.Fuzz(func(t *testing.T, data []byte, refuse uint16, name string) {
		in := bytes.NewReader(data)
		r := scp.NewReceiver(in, io.Discard, scp.ReceiveOptions{Recursive: true, Name: name})
		for steps := 0; ; steps++ {
			if steps > len(data)+1 {
				t.Fatal("more records than bytes")
			}
			rec, err := r.Next()
			var peer *scp.PeerError
			if errors.As(err, &peer) && !peer.Fatal {
				continue
			}
			if err != nil {
				if _, again := r.Next(); again != err {
					t.Fatalf("ended with %v, then %v", err, again)
				}
				return
			}
			if rec.Kind == scp.End {
				continue
			}
			if rec.Name != name && (scp.CheckName(rec.Name) != nil || strings.ContainsAny(rec.Name, "/\x00")) {
				t.Fatalf("name %q", rec.Name)
			}
			if rec.Size < 0 || rec.Mode&^(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|fs.ModeDir) != 0 {
				t.Fatalf("record %+v", rec)
			}
			if refuse&1 == 1 {
				r.Refuse("no")
			} else if body, err := r.Accept(); err == nil && rec.Kind == scp.File {
				if n, err := io.Copy(io.Discard, body); n > rec.Size || (err == nil && n < rec.Size) {
					t.Fatalf("%d bytes of %d, %v", n, rec.Size, err)
				}
			}
			refuse = refuse>>1 | refuse<<15
		}
	})
}

// FuzzRoundTrip: what a Sender sends, a Receiver gets.
func FuzzRoundTrip(f *testing.F) {
	f.Add("backup.sql.gz", uint32(0o644), int64(1580608922), []byte("data"))
	f.Add("日本 \"quoted\" it's", uint32(0o4755), int64(0), []byte{})
	f.Add("a/b", uint32(0o777), int64(-1), []byte("\x00\x01\x02C0644 1 x\n"))
	f.Fuzz(func(t *testing.T, name string, mode uint32, mtime int64, data []byte) {
		rec := scp.Record{Name: name, Mode: fs.FileMode(mode & 0o777), Size: int64(len(data)), MTime: time.Unix(mtime, 0)}
		var wire bytes.Buffer
		if err := scp.NewSender(bytes.NewReader(make([]byte, 8)), &wire).SendFile(rec, bytes.NewReader(data)); err != nil {
			if scp.CheckName(name) == nil {
				t.Fatal(err)
			}
			return
		}
		r := scp.NewReceiver(&wire, io.Discard, scp.ReceiveOptions{Name: name})
		got, err := r.Next()
		if err != nil || got.Name != name || got.Mode != rec.Mode || got.Size != rec.Size {
			t.Fatalf("got %+v, %v; sent %+v", got, err, rec)
		}
		if mtime >= 0 && mtime < 1<<37 && !got.MTime.Equal(rec.MTime) {
			t.Fatalf("got %v, sent %v", got.MTime, rec.MTime)
		}
		body, err := r.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := io.ReadAll(body); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("body %q, %v", back, err)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatal(err)
		}
	})
}
