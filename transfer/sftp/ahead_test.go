package sftp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"linehaul/transfer/sftp"
)

func numbered() bool { return true }

// TestOpenAhead reads, describes and writes files of OpenSSH's sftp-server by the
// handle that it will give, before it has answered.
func TestOpenAhead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a b")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []sftp.Options{{InOrder: true}, {InOrder: true, Numbered: func() bool { return false }}} {
		if f, err := server(t, o).OpenAhead(path, sftp.OpenRead, true); f != nil || err != nil {
			t.Errorf("opened though handles are no numbers: %v", err)
		}
	}

	o := sftp.Options{InOrder: true, Numbered: numbered}
	c := server(t, o)
	f, err := c.OpenAhead(path, sftp.OpenRead, true)
	if f == nil || err != nil {
		t.Fatalf("not opened: %v", err)
	}
	buf := make([]byte, 20)
	if n, err := f.ReadAt(t.Context(), buf, 1); err != nil || string(buf[:n]) != "ontent" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if info, err := f.Described(t.Context()); err != nil || info.Size != 7 {
		t.Errorf("%+v, %v", info, err)
	}
	if again, err := c.OpenAhead(path, sftp.OpenRead, false); again != nil || err != nil {
		t.Errorf("a second one in the session: %v", err)
	}
	other, err := c.Open(t.Context(), path, sftp.OpenRead, sftp.Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	f.Drop()
	if n, err := other.ReadAt(t.Context(), buf, 0); err != nil || n != 7 {
		t.Errorf("%d bytes of the other, %v", n, err)
	}

	w, err := server(t, o).OpenAhead(path, sftp.OpenWrite, false)
	if w == nil || err != nil {
		t.Fatalf("not opened: %v", err)
	}
	err = w.WriteAt(t.Context(), append(make([]byte, sftp.Headroom), "CON"...), 0, func() {})
	if err := errors.Join(err, w.Confirm(t.Context()), w.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); string(b) != "CONtent" {
		t.Errorf("%q, %v", b, err)
	}

	// A file that is not there, and one that comes right behind it.
	c = server(t, o)
	f, err = c.OpenAhead(filepath.Join(dir, "none"), sftp.OpenWrite, false)
	if f == nil || err != nil {
		t.Fatalf("not opened: %v", err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		if _, err := c.Open(t.Context(), path, sftp.OpenWrite, sftp.Attrs{}); err != nil {
			t.Error(err)
		}
	})
	if err := f.WriteAt(t.Context(), append(make([]byte, sftp.Headroom), "lost"...), 0, func() {}); err == nil {
		t.Error("something was written")
	}
	work.Wait()
	if err := f.Confirm(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("confirmed with %v", err)
	}
	f.Drop()
	if b, err := os.ReadFile(path); string(b) != "CONtent" {
		t.Errorf("what was meant for another file: %q, %v", b, err)
	}
}

// A request is what a scripted server was asked.
type request struct {
	kind byte
	id   uint32
	body []byte
}

// script is a session with a server that does as told. It sends what answer returns
// for each request.
func script(t *testing.T, o sftp.Options, answer func(request) [][]byte) *sftp.Client {
	t.Helper()
	in, out := io.Pipe()
	toServer, fromClient := io.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() {
		head := make([]byte, 9)
		io.ReadFull(toServer, head)                  //nolint:errcheck // the pipe ends with the test
		out.Write([]byte{0, 0, 0, 5, 2, 0, 0, 0, 3}) //nolint:errcheck // likewise
		for {
			if _, err := io.ReadFull(toServer, head); err != nil {
				return
			}
			body := make([]byte, binary.BigEndian.Uint32(head)-5)
			if _, err := io.ReadFull(toServer, body); err != nil {
				return
			}
			for _, a := range answer(request{head[4], binary.BigEndian.Uint32(head[5:]), body}) {
				out.Write(a) //nolint:errcheck // the pipe ends with the test
			}
		}
	})
	c, err := sftp.NewClient(in, fromClient, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		out.Close()
		toServer.Close()
		serving.Wait()
		c.Wait() //nolint:errcheck // the script's end
	})
	return c
}

func answer(kind byte, id uint32, body ...any) []byte {
	var b bytes.Buffer
	b.WriteByte(kind)
	binary.Write(&b, binary.BigEndian, id) //nolint:errcheck // into memory
	for _, v := range body {
		switch v := v.(type) {
		case string:
			binary.Write(&b, binary.BigEndian, uint32(len(v))) //nolint:errcheck // into memory
			b.WriteString(v)
		default:
			binary.Write(&b, binary.BigEndian, v) //nolint:errcheck // into memory
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(b.Len())), b.Bytes()...)
}

// TestOpenAheadUnforeseen: the server gives another handle, and nothing that was
// moved counts. Nothing else is opened before that is known.
func TestOpenAheadUnforeseen(t *testing.T) {
	var mu sync.Mutex
	var kinds []byte
	read := make(chan struct{})
	c := script(t, sftp.Options{InOrder: true, Numbered: numbered}, func(r request) [][]byte {
		mu.Lock()
		kinds = append(kinds, r.kind)
		n := len(kinds)
		mu.Unlock()
		switch {
		case n == 1: // answered when what is read by it has come
			return nil
		case r.kind == 5:
			close(read)
			time.Sleep(20 * time.Millisecond) // in which the other would come
			return [][]byte{answer(102, 0, "two"), answer(103, r.id, "data of another")}
		case r.kind == 3:
			return [][]byte{answer(102, r.id, "three")}
		}
		return nil
	})
	f, err := c.OpenAhead("/f", sftp.OpenRead, false)
	if f == nil || err != nil {
		t.Fatalf("not opened: %v", err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		<-read
		if _, err := c.Open(t.Context(), "/g", sftp.OpenRead, sftp.Attrs{}); err != nil {
			t.Error(err)
		}
	})
	if n, err := f.ReadAt(t.Context(), make([]byte, 100), 0); err != nil || n == 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := f.Confirm(t.Context()); err == nil {
		t.Error("another handle than the one that was foreseen was taken for it")
	}
	work.Wait()
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(kinds, []byte{3, 5, 3}) {
		t.Errorf("the server was asked for %v", kinds)
	}
}

// TestNamesAhead: where handles are numbers, names are asked for together with the
// folder; and another number is no harm.
func TestNamesAhead(t *testing.T) {
	for _, given := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x07"} {
		var opened uint32
		var waiting []request
		asked, told := 0, false
		c := script(t, sftp.Options{InOrder: true, Numbered: numbered}, func(r request) [][]byte {
			handle := ""
			if r.kind == 12 {
				asked++
				handle = string(r.body[4:])
			}
			var all [][]byte
			switch {
			case r.kind == 11:
				opened = r.id
			case r.kind == 12 && asked < 2: // the folder is opened when names were asked for twice
				waiting = append(waiting, r)
			case r.kind == 12 && asked == 2:
				all = append(all, answer(102, opened, given))
				for _, r := range append(waiting, r) {
					if handle != given {
						all = append(all, answer(101, r.id, uint32(4), "no such handle", ""))
						continue
					}
					all = append(all, names(r.id, &told))
				}
			case r.kind == 12 && handle == given:
				all = append(all, names(r.id, &told))
			case r.kind == 12:
				all = append(all, answer(101, r.id, uint32(4), "no such handle", ""))
			case r.kind == 4:
				all = append(all, answer(101, r.id, uint32(0), "", ""))
			}
			return all
		})
		var got []string
		for n, err := range c.Names(t.Context(), "/dir") {
			if err != nil {
				t.Errorf("handle %q: %v", given, err)
				break
			}
			got = append(got, n.Name)
		}
		if !slices.Equal(got, []string{"f0", "f1", "f2"}) {
			t.Errorf("handle %q: %q", given, got)
		}
	}
}

// names are those of the folder, once.
func names(id uint32, told *bool) []byte {
	if *told {
		return answer(101, id, uint32(1), "", "")
	}
	*told = true
	all := []any{uint32(3)}
	for i := range 3 {
		all = append(all, fmt.Sprintf("f%d", i), "", uint32(0))
	}
	return answer(104, id, all...)
}
