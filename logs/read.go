package logs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"

	"linehaul/fault"
)

// OpenReader opens a log for reading, decompressed if its name ends in .gz. If
// the log is not there but a compressed one of its name is, it opens that. An
// error is of kind fault.LocalDisk, and wraps os.ErrNotExist if neither is
// there. The caller closes the reader.
func OpenReader(path string) (io.ReadCloser, error) {
	r, err := openReader(path)
	if errors.Is(err, os.ErrNotExist) && !strings.HasSuffix(path, gzSuffix) {
		if gz, gzErr := openReader(path + gzSuffix); !errors.Is(gzErr, os.ErrNotExist) {
			r, err = gz, gzErr
		}
	}
	if err != nil {
		return nil, readFault(path, err)
	}
	return r, nil
}

func openReader(path string) (io.ReadCloser, error) {
	f, err := openShared(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, gzSuffix) {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &gzipFile{z, f}, nil
}

// gzipFile reads a compressed file and closes it.
type gzipFile struct {
	*gzip.Reader
	f *os.File
}

func (g *gzipFile) Close() error { return errors.Join(g.Reader.Close(), g.f.Close()) }

func readFault(path string, err error) error {
	return fault.New(fault.LocalDisk, "read log %q: %w", path, err)
}

// Tail writes the last lines of a log to w, all of it if lines is negative. It
// finds a compressed log as OpenReader does, with the same errors. An error of
// w is returned as it is.
func Tail(path string, w io.Writer, lines int) error {
	r, err := OpenReader(path)
	if err != nil {
		return err
	}
	defer func() { r.Close() }()
	if f, plain := r.(*os.File); plain {
		t := &tail{path: path, w: w, f: f}
		if err := t.skip(lines); err != nil {
			return readFault(path, err)
		}
		return t.copy()
	}
	// What is compressed can only be read forwards: count, then begin again.
	skip := 0
	if lines >= 0 {
		total, err := countLines(r)
		if err != nil {
			return readFault(path, err)
		}
		skip = max(total-lines, 0)
		r.Close()
		if r, err = OpenReader(path); err != nil {
			return err
		}
	}
	return copyLines(path, w, r, skip)
}

// countLines counts lines; a last one without a line break counts.
func countLines(r io.Reader) (int, error) {
	buf := make([]byte, 32<<10)
	total, last := 0, byte('\n')
	for {
		n, err := r.Read(buf)
		if n > 0 {
			total += bytes.Count(buf[:n], []byte{'\n'})
			last = buf[n-1]
		}
		if err == nil {
			continue
		}
		if last != '\n' {
			total++
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return total, err
	}
}

// copyLines writes all but the first lines of r.
func copyLines(path string, w io.Writer, r io.Reader, skip int) error {
	in := bufio.NewReaderSize(r, 32<<10)
	for {
		part, err := in.ReadSlice('\n')
		if skip == 0 {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil:
			skip = max(skip-1, 0)
		case !errors.Is(err, bufio.ErrBufferFull): // a line longer than the buffer comes in parts
			return readFault(path, err)
		}
	}
}
