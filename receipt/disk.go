package receipt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// sameTime is how far two times of one file may be apart: FAT keeps every other
	// second.
	sameTime = 2 * time.Second
	// readSize is how much of a file is read at a time, in bytes.
	readSize = 256 << 10
)

// A look is what was found at a path: an empty Kind if that is what the receipt
// says.
type look struct {
	Finding
	read     int64 // bytes
	unhashed bool  // the receipt has no SHA-256
}

func found(k Kind, want, got, text string) look {
	return look{Finding: Finding{Kind: k, Want: want, Got: got, Text: text}}
}

// lookAt holds what is at a local path against a line of a receipt. An error is
// that of ctx.
func lookAt(ctx context.Context, path string, f File) (look, error) {
	there, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found(FileMissing, "", "", "it is not there"), nil
	case err != nil:
		return found(FileUnreadable, "", "", reason(err)), nil
	}
	if want, got := kindName(f.Kind), typeName(there.Mode()); want != got {
		return found(FileChanged, want, got, "it is something else"), nil
	}
	if f.Kind != "" {
		return look{}, nil // what a receipt says of folders and links is that they are there
	}
	if there.Size() != f.Bytes {
		return found(FileChanged, count(f.Bytes, "byte"), count(there.Size(), "byte"), "it has another size"), nil
	}
	otherTime := !f.MTime.IsZero() && there.ModTime().Sub(f.MTime).Abs() > sameTime
	want, got := stamp(f.MTime), stamp(there.ModTime())
	if f.SHA256 == "" {
		l := look{unhashed: true}
		if otherTime {
			l = found(FileTime, want, got, "it has another time, and the receipt has no SHA-256 of it")
		}
		return l, nil
	}
	sum, n, err := hashFile(ctx, path, there)
	l := look{read: n}
	switch {
	case ctx.Err() != nil:
		return look{}, context.Cause(ctx)
	case err != nil:
		l.Finding = Finding{Kind: FileUnreadable, Text: reason(err)}
	case sum.String() != f.SHA256:
		l.Finding = Finding{Kind: FileChanged, Want: f.SHA256, Got: sum.String(), Text: "it has another SHA-256"}
	case otherTime:
		l.Finding = Finding{Kind: FileTouched, Want: want, Got: got, Text: "it has another time, and the right SHA-256"}
	}
	return l, nil
}

// hashFile reads the file that was looked at before.
func hashFile(ctx context.Context, path string, before fs.FileInfo) (Hash, int64, error) {
	f, err := openFile(path)
	if err != nil {
		return Hash{}, 0, err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(before, now) {
		return Hash{}, 0, errors.Join(err, errors.New("it was replaced while it was looked at"))
	}
	sum := sha256.New()
	n, buffer := int64(0), make([]byte, min(readSize, before.Size()+1))
	for ctx.Err() == nil {
		// A file that somebody writes to meanwhile has no end.
		some, err := io.LimitReader(f, before.Size()+1-n).Read(buffer)
		sum.Write(buffer[:some])
		n += int64(some)
		if err == io.EOF {
			break
		}
		if err != nil {
			return Hash{}, n, err
		}
	}
	if n != before.Size() && ctx.Err() == nil {
		return Hash{}, n, errors.New("it was changed while it was read")
	}
	return Hash(sum.Sum(nil)), n, nil
}

// reason is an error without the path, which stands beside it.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return fmt.Sprintf("%s: %v", p.Op, p.Err)
	}
	return err.Error()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func kindName(kind string) string {
	switch kind {
	case "":
		return "a file"
	case Folder:
		return "a folder"
	case Symlink:
		return "a symbolic link"
	}
	return fmt.Sprintf("a %s", kind)
}

func typeName(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a file"
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "neither a file nor a folder"
}

// A pathKey stands for a local path.
type pathKey [16]byte

// keyOf is the same for two spellings of a path. Windows takes no notice of case.
func keyOf(path string, windows bool) pathKey {
	path = filepath.Clean(path)
	if windows {
		path = strings.ToLower(strings.ReplaceAll(path, "/", `\`))
	}
	sum := sha256.Sum256([]byte(path))
	return pathKey(sum[:16])
}

func onWindows() bool { return runtime.GOOS == "windows" }
