package remote_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// A place is a folder that a server serves and the test can look into.
type place struct {
	files    transfer.WritableRemote
	protocol remote.Protocol
	local    string // the folder on this machine
	path     string // the same folder as the server names it
	own      func(paths ...string)
	denied   bool // permissions mean something to the server
}

// at returns the server's path of a file in the place.
func (p place) at(name string) string { return strings.TrimRight(p.path, "/") + "/" + name }

// write makes a file on the server's side.
func (p place) write(t *testing.T, name string, data []byte, mode fs.FileMode) string {
	t.Helper()
	file := filepath.Join(p.local, name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	p.own(file)
	return file
}

// mtime is a time that no file has by chance.
func mtime() time.Time { return time.Unix(1580608922, 0) }

// pattern is data in which a misplaced piece shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>16) ^ byte(i>>8) ^ byte(i)
	}
	return b
}

// suite is what every server must do by every protocol.
func suite(t *testing.T, p place) {
	big := pattern(1<<20 + 12345)
	// A zero byte in the middle, and what a shell would expand.
	names := []string{"plain.txt", "with space", "it's", `"quoted"`, "$(id) `id` $HOME", "back\\slash", "-rf", "*?[x]", "日本.txt", "~", "#x", "a;b&c|d"}
	if p.protocol == remote.SFTP {
		names = append(names, "new\nline")
	}

	t.Run("read", func(t *testing.T) {
		file := p.write(t, "big", big, 0o640)
		os.Chtimes(file, mtime(), mtime())
		got, err := p.files.Stat(t.Context(), p.at("big"))
		if err != nil || got.Name != "big" || got.Size != int64(len(big)) || got.Mode != 0o640 || !got.MTime.Equal(mtime()) {
			t.Errorf("stat: %+v, %v", got, err)
		}
		r, err := p.files.Open(t.Context(), p.at("big"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if again, err := r.Stat(t.Context()); err != nil || again.Size != got.Size || !again.MTime.Equal(got.MTime) || again.Mode != got.Mode {
			t.Errorf("stat of the open file: %+v, %v", again, err)
		}
		data, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(data, big) {
			t.Errorf("read %d bytes, %v", len(data), err)
		}
		if n, err := r.Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.Read(make([]byte, 10)); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	})
	t.Run("read at", func(t *testing.T) {
		r, err := p.files.Open(t.Context(), p.at("big"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		at, ok := r.(io.ReaderAt)
		if ok != (p.protocol == remote.SFTP) {
			t.Fatalf("an io.ReaderAt: %v", ok)
		}
		if !ok {
			return
		}
		got := make([]byte, len(big))
		var wg sync.WaitGroup
		for from := 0; from < len(big); from += 50000 {
			wg.Go(func() {
				part := got[from:min(from+50000, len(big))]
				if n, err := at.ReadAt(part, int64(from)); n != len(part) || (err != nil && err != io.EOF) {
					t.Errorf("read at %d: %d, %v", from, n, err)
				}
			})
		}
		wg.Wait()
		if !bytes.Equal(got, big) {
			t.Error("the pieces do not make the file")
		}
		if n, err := at.ReadAt(make([]byte, 100), int64(len(big)-10)); n != 10 || err != io.EOF {
			t.Errorf("over the end: %d, %v", n, err)
		}
	})
	t.Run("empty file", func(t *testing.T) {
		p.write(t, "empty", nil, 0o600)
		if data, err := getFile(t.Context(), p.files, p.at("empty")); err != nil || len(data) != 0 {
			t.Errorf("%q, %v", data, err)
		}
	})
	t.Run("write", func(t *testing.T) {
		attrs := transfer.Attrs{Mode: 0o604, MTime: mtime()}
		if err := putFile(t.Context(), p.files, p.at("up"), big, attrs); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(p.local, "up"))
		if err != nil || !bytes.Equal(data, big) {
			t.Errorf("%d bytes arrived, %v", len(data), err)
		}
		info, err := os.Stat(filepath.Join(p.local, "up"))
		if err != nil || info.Mode() != 0o604 || !info.ModTime().Equal(mtime()) {
			t.Errorf("%v %v %v", info.Mode(), info.ModTime(), err)
		}
		err = putFile(t.Context(), p.files, p.at("up"), []byte("x"), attrs)
		if !errors.Is(err, fs.ErrExist) || !fault.Is(err, fault.RemoteFile) {
			t.Errorf("a file that exists was created: %v", err)
		}
	})
	t.Run("give up a write", func(t *testing.T) {
		w, err := p.files.Create(t.Context(), p.at("given up"), transfer.Attrs{Size: 100})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("abc")); err != nil {
			t.Error(err)
		}
		if err := errors.Join(w.Close(), w.Close()); err != nil {
			t.Error(err)
		}
		if err := w.Commit(t.Context()); err == nil {
			t.Error("committed after it was given up")
		}
		if err := p.files.Remove(t.Context(), p.at("given up")); err != nil {
			t.Error(err)
		}
	})
	t.Run("names", func(t *testing.T) {
		if err := p.files.Mkdir(t.Context(), p.at("it's a $(dir)")); err != nil {
			t.Fatal(err)
		}
		sub := p.at("it's a $(dir)")
		for _, name := range names {
			if err := putFile(t.Context(), p.files, sub+"/"+name, []byte(name), transfer.Attrs{Mode: 0o600}); err != nil {
				t.Errorf("put %q: %v", name, err)
				continue
			}
			if data, err := getFile(t.Context(), p.files, sub+"/"+name); err != nil || string(data) != name {
				t.Errorf("get %q: %q, %v", name, data, err)
			}
			if e, err := p.files.Stat(t.Context(), sub+"/"+name); err != nil || e.Name != name {
				t.Errorf("stat %q: %+v, %v", name, e, err)
			}
		}
		entries, err := p.files.List(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name)
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(names))
		if !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
		for _, name := range names {
			if err := p.files.Replace(t.Context(), sub+"/"+name, sub+"/moved "+name); err != nil {
				t.Errorf("rename %q: %v", name, err)
			}
			if err := p.files.Remove(t.Context(), sub+"/moved "+name); err != nil {
				t.Errorf("remove %q: %v", name, err)
			}
		}
		if left, err := os.ReadDir(filepath.Join(p.local, "it's a $(dir)")); err != nil || len(left) > 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	})
	t.Run("list", func(t *testing.T) {
		if err := os.MkdirAll(filepath.Join(p.local, "l", "sub", "deep"), 0o755); err != nil {
			t.Fatal(err)
		}
		p.own(filepath.Join(p.local, "l"))
		file := p.write(t, "l/file", []byte("12345"), 0o644)
		os.Chtimes(file, mtime(), mtime())
		p.write(t, "l/sub/inner", nil, 0o644)
		entries, err := p.files.List(t.Context(), p.at("l/"))
		if err != nil || len(entries) != 2 {
			t.Fatalf("%+v, %v", entries, err)
		}
		slices.SortFunc(entries, func(a, b transfer.Entry) int { return strings.Compare(a.Name, b.Name) })
		if e := entries[0]; e.Name != "file" || e.Size != 5 || e.Mode != 0o644 || !e.MTime.Equal(mtime()) {
			t.Errorf("%+v", e)
		}
		if e := entries[1]; e.Name != "sub" || !e.Mode.IsDir() {
			t.Errorf("%+v", e)
		}
		if e, err := p.files.Stat(t.Context(), p.at("l")); err != nil || !e.Mode.IsDir() || e.Name != "l" {
			t.Errorf("stat of the folder: %+v, %v", e, err)
		}
		if _, err := p.files.List(t.Context(), p.at("l/file")); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("listing a file: %v", err)
		}
		if _, err := p.files.List(t.Context(), "."); err != nil {
			t.Errorf("the login folder: %v", err)
		}
		if _, err := p.files.List(t.Context(), "/"); err != nil {
			t.Errorf("the root: %v", err)
		}
	})
	t.Run("replace", func(t *testing.T) {
		p.write(t, "old", []byte("old"), 0o600)
		p.write(t, "new", []byte("new"), 0o600)
		if err := p.files.Replace(t.Context(), p.at("new"), p.at("old")); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(filepath.Join(p.local, "old")); err != nil || string(data) != "new" {
			t.Errorf("%q, %v", data, err)
		}
		if err := p.files.Replace(t.Context(), p.at("new"), p.at("old")); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("renamed what is not there: %v", err)
		}
		if err := p.files.Replace(t.Context(), p.at("old"), p.at("l")); err == nil {
			t.Error("a folder was replaced, or moved into")
		}
	})
	t.Run("move", func(t *testing.T) { moves(t, p) })
	t.Run("remove", func(t *testing.T) {
		if err := p.files.Remove(t.Context(), p.at("never was")); err != nil {
			t.Error(err)
		}
		if err := os.Mkdir(filepath.Join(p.local, "hollow"), 0o755); err != nil {
			t.Fatal(err)
		}
		p.own(filepath.Join(p.local, "hollow"))
		if err := p.files.Remove(t.Context(), p.at("hollow")); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("a folder was removed as a file: %v", err)
		}
	})
	t.Run("make folder", func(t *testing.T) {
		for range 2 {
			if err := p.files.Mkdir(t.Context(), p.at("made")); err != nil {
				t.Error(err)
			}
		}
		if err := p.files.Mkdir(t.Context(), p.at("no/such/parent")); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("without a parent: %v", err)
		}
		if err := p.files.Mkdir(t.Context(), p.at("big")); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("where a file is: %v", err)
		}
	})
	t.Run("absent", func(t *testing.T) {
		_, err := p.files.Stat(t.Context(), p.at("absent"))
		wantFile(t, "stat", err, fs.ErrNotExist)
		_, err = p.files.Open(t.Context(), p.at("absent"))
		wantFile(t, "open", err, fs.ErrNotExist)
		if want := `open "` + p.at("absent") + `" on hk1: file does not exist`; err == nil || err.Error() != want {
			t.Errorf("message %q, want %q", err, want)
		}
		_, err = p.files.List(t.Context(), p.at("absent"))
		wantFile(t, "list", err, fs.ErrNotExist)
		_, err = p.files.Create(t.Context(), p.at("absent/file"), transfer.Attrs{})
		wantFile(t, "create", err, fs.ErrNotExist)
	})
	t.Run("denied", func(t *testing.T) {
		if !p.denied {
			t.Skip("this server runs as root")
		}
		p.write(t, "closed", []byte("secret"), 0o000)
		_, err := p.files.Open(t.Context(), p.at("closed"))
		wantFile(t, "open", err, fs.ErrPermission)
		dir := filepath.Join(p.local, "shut")
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Mkdir(filepath.Join(dir, "inner"), 0)); err != nil {
			t.Fatal(err)
		}
		p.write(t, "shut/file", nil, 0o000)
		p.own(dir, filepath.Join(dir, "inner"))
		entries, err := p.files.List(t.Context(), p.at("shut"))
		kinds := map[string]bool{}
		for _, e := range entries {
			kinds[e.Name] = e.Mode.IsDir()
		}
		if err != nil || len(entries) != 2 || !kinds["inner"] || kinds["file"] {
			t.Errorf("listing what is closed: %+v, %v", entries, err)
		}
		os.Chmod(dir, 0)
		_, err = p.files.List(t.Context(), p.at("shut"))
		wantFile(t, "list", err, fs.ErrPermission)
		_, err = p.files.Create(t.Context(), p.at("shut/new"), transfer.Attrs{})
		wantFile(t, "create", err, fs.ErrPermission)
		err = p.files.Mkdir(t.Context(), p.at("shut/new"))
		wantFile(t, "make folder", err, fs.ErrPermission)
		os.Chmod(dir, 0o555)
		err = p.files.Remove(t.Context(), p.at("shut/file"))
		wantFile(t, "remove", err, fs.ErrPermission)
	})
	t.Run("many at a time", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if data, err := getFile(t.Context(), p.files, p.at("big")); err != nil || !bytes.Equal(data, big) {
					t.Errorf("%d bytes, %v", len(data), err)
				}
			})
		}
		wg.Wait()
	})
}

func wantFile(t *testing.T, what string, err, reason error) {
	t.Helper()
	if !errors.Is(err, reason) || !fault.Is(err, fault.RemoteFile) {
		t.Errorf("%s: got %v (%v), want %v", what, err, fault.KindOf(errors.Join(err, io.EOF)), reason)
	}
}
