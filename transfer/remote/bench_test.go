package remote_test

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"linehaul/internal/lab"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// BenchmarkOpenSSH moves a file of 64 MiB from and to OpenSSH on loopback, by
// SFTP with as many requests in flight as a window holds.
func BenchmarkOpenSSH(b *testing.B) {
	const size, workers = 64 << 20, 64
	key, _ := newKey(b)
	s := lab.StartSSHD(b, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}})
	data := pattern(size)
	file := filepath.Join(s.Dir, "big")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	// pieces gives each worker every 64th piece.
	pieces := func(b *testing.B, f func(from, to int) error) {
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() {
				for from := i << 15; from < size; from += workers << 15 {
					if err := f(from, from+1<<15); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		h := sshdHost(b, s, key)
		h.Protocol = protocol
		files, _ := openFiles(b, h)
		b.Run("get "+protocol.String(), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				r, err := files.Open(b.Context(), file)
				if err != nil {
					b.Fatal(err)
				}
				if at, ok := r.(io.ReaderAt); ok {
					got := make([]byte, size)
					pieces(b, func(from, to int) error { _, err := at.ReadAt(got[from:to], int64(from)); return err })
				} else if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 1<<15)); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
		b.Run("put "+protocol.String(), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				w, err := files.Create(b.Context(), file+".up", transfer.Attrs{Size: size, Mode: 0o600})
				if err != nil {
					b.Fatal(err)
				}
				if at, ok := w.(io.WriterAt); ok {
					pieces(b, func(from, to int) error { _, err := at.WriteAt(data[from:to], int64(from)); return err })
				} else if _, err := w.Write(data); err != nil {
					b.Fatal(err)
				}
				if err := w.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
				w.Close()
				if err := files.Remove(b.Context(), file+".up"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
