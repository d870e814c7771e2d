package bench

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// A Case is one transfer to compare.
type Case struct {
	Name  string
	RTT   time.Duration // of the line to the server; 0 is loopback itself
	Files int           // 1 is a single file, more are a tree
	Size  int64         // bytes of each file
	Put   bool          // to the server
	Goal  float64       // how many times the fastest peer's speed linehaul should reach
	What  string        // in words, where the others do not say it
}

// Cases are all cases: each kind in both directions.
func Cases() []Case {
	var all []Case
	for _, c := range []Case{
		{Name: "1g-loopback", Files: 1, Size: 1 << 30, Goal: 1},
		{Name: "128m-50ms", RTT: 50 * time.Millisecond, Files: 1, Size: 128 << 20, Goal: 4},
		{Name: "128m-200ms", RTT: 200 * time.Millisecond, Files: 1, Size: 128 << 20, Goal: 4},
		{Name: "64x2m-50ms", RTT: 50 * time.Millisecond, Files: 64, Size: 2 << 20, Goal: 3},
		{Name: "5000x4k-loopback", Files: 5000, Size: 4 << 10, Goal: 4},
		{Name: "1000x4k-50ms", RTT: 50 * time.Millisecond, Files: 1000, Size: 4 << 10, Goal: 12},
	} {
		get, put := c, c
		get.Name += "/get"
		put.Name, put.Put = c.Name+"/put", true
		all = append(all, get, put)
	}
	return all
}

// scaled is the case in another size: a smaller file, or fewer files.
func (c Case) scaled(by float64) Case {
	if c.Files == 1 {
		c.Size = max(1, int64(float64(c.Size)*by))
	} else {
		c.Files = max(2, int(float64(c.Files)*by))
	}
	return c
}

// String says what is moved.
func (c Case) String() string {
	if c.What != "" {
		return size(c.Size) + ", " + c.What
	}
	what := "one file of " + size(c.Size)
	if c.Files > 1 {
		what = fmt.Sprintf("%d files of %s", c.Files, size(c.Size))
	}
	where := " on loopback"
	if c.RTT > 0 {
		where = fmt.Sprintf(" at %d ms", c.RTT.Milliseconds())
	}
	if c.Put {
		return what + where + ", put"
	}
	return what + where + ", get"
}

func size(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// A tree is a file, or a folder of files, and what is in it.
type tree struct {
	path string
	digest
}

// folderFiles is how many files lie in each folder of a tree.
const folderFiles = 100

// make writes the case's files below dir: random bytes, which no client can
// compress, the same in each run.
func (c Case) make(dir string) (tree, error) {
	rnd := rand.NewChaCha8([32]byte{1})
	if c.Files == 1 {
		t := tree{path: filepath.Join(dir, "file")}
		if err := os.MkdirAll(dir, 0o755); err != nil { // the server's user must enter
			return t, err
		}
		if err := write(t.path, rnd, c.Size); err != nil {
			return t, err
		}
		d, err := digestOf(t.path)
		t.digest = d
		return t, err
	}
	t := tree{path: filepath.Join(dir, "tree")}
	for i := range c.Files {
		folder := filepath.Join(t.path, fmt.Sprintf("d%03d", i/folderFiles))
		if i%folderFiles == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil { // the server's user must enter
				return t, err
			}
		}
		if err := write(filepath.Join(folder, fmt.Sprintf("f%05d", i)), rnd, c.Size); err != nil {
			return t, err
		}
	}
	d, err := digestOf(t.path)
	t.digest = d
	return t, err
}

func write(path string, from io.Reader, n int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // the server's user must read
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, from, n)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// A digest is what decides whether two trees hold the same.
type digest struct {
	files  int
	bytes  int64
	sha256 string // of each file, or of all names with their digests
}

// digestOf reads a file, or all files below a folder.
func digestOf(path string) (digest, error) {
	var d digest
	all := sha256.New()
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%q is no file", name)
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		one := sha256.New()
		n, err := io.Copy(one, f)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(all, "%s\x00", rel)
		all.Write(binary.BigEndian.AppendUint64(one.Sum(nil), uint64(n)))
		d.files++
		d.bytes += n
		return nil
	})
	d.sha256 = hex.EncodeToString(all.Sum(nil))
	return d, err
}
