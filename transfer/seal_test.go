package transfer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// A sealingRemote is one whose server works in order, behind a line of that length.
type sealingRemote struct {
	*memRemote
	trip            time.Duration
	said            func(*transfer.Entry) error // changes what is said behind a last write
	unfinished      error                       // why nothing is asked for in the end
	seals, finishes atomic.Int64
}

func (r *sealingRemote) RoundTrip() time.Duration { return r.trip }

func (r *sealingRemote) Create(ctx context.Context, p string, attrs transfer.Attrs) (transfer.Writer, error) {
	return r.sealing(r.memRemote.Create(ctx, p, attrs))
}

func (r *sealingRemote) Reopen(ctx context.Context, p string, attrs transfer.Attrs) (transfer.Writer, error) {
	return r.sealing(r.memRemote.Reopen(ctx, p, attrs))
}

func (r *sealingRemote) sealing(w transfer.Writer, err error) (transfer.Writer, error) {
	if err != nil {
		return nil, err
	}
	return &sealing{writerAt: w.(writerAt), r: r}, nil
}

type sealing struct {
	writerAt
	r       *sealingRemote
	writing sync.WaitGroup
}

func (s *sealing) WritePacketAt(packet []byte, off int64, sent func()) error {
	s.writing.Add(1)
	defer s.writing.Done()
	return s.writerAt.WritePacketAt(packet, off, sent)
}

func (s *sealing) Seal(ctx context.Context) (transfer.Entry, error) {
	s.writing.Wait()
	s.r.seals.Add(1)
	e, err := s.r.Stat(ctx, s.h.path)
	if err == nil && s.r.said != nil {
		err = s.r.said(&e)
	}
	return e, err
}

func (s *sealing) Finish(ctx context.Context, sent func()) error {
	s.r.finishes.Add(1)
	if s.r.unfinished != nil {
		return s.r.unfinished
	}
	err := s.Commit(ctx)
	sent()
	return err
}

// TestSeal: what was stored over a long line is made durable behind the last writes,
// and gets its name only if that went well, and if nothing else has to be known.
func TestSeal(t *testing.T) {
	refused := fault.New(fault.RemoteFile, "Disk quota exceeded")
	for name, tt := range map[string]struct {
		trip   time.Duration
		said   func(*transfer.Entry) error
		verify transfer.VerifyFunc
		sealed bool
		ends   error // in place of mode and time
		err    error
	}{
		"far":                   {trip: 50 * time.Millisecond, sealed: true},
		"near":                  {trip: time.Millisecond},
		"a hash is asked for":   {trip: 50 * time.Millisecond, verify: func(context.Context, string, int64, string) (string, error) { return "", nil }},
		"less is there":         {trip: 50 * time.Millisecond, said: func(e *transfer.Entry) error { e.Size--; return nil }},
		"more is there":         {trip: 50 * time.Millisecond, said: func(e *transfer.Entry) error { e.Size++; return nil }},
		"it cannot be finished": {trip: 50 * time.Millisecond, ends: refused, sealed: true, err: refused},
		"it cannot be durable":  {trip: 50 * time.Millisecond, said: func(*transfer.Entry) error { return refused }, err: refused},
	} {
		t.Run(name, func(t *testing.T) {
			r := &sealingRemote{memRemote: newRemote(map[string]string{"/in/": "", "/in/big": "old"}), trip: tt.trip, said: tt.said, unfinished: tt.ends}
			checkLeaks(t, r.memRemote)
			local := filepath.Join(t.TempDir(), "big")
			content := strings.Repeat("0123456789abcdef", 20<<16)
			write(t, local, content)
			if err := os.Chmod(local, 0o640); err != nil {
				t.Fatal(err)
			}
			p := transfer.Put{Remote: r, Run: run, Verify: tt.verify, NoSum: tt.verify == nil}
			p.More = func(context.Context, bool) (transfer.WritableRemote, error) { return r, nil }
			_, err := p.Files(t.Context(), place(t, mustLocal(t, local), into("/in/")))
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			want := content
			if tt.err != nil {
				want = "old"
			}
			n := r.nodes["/in/big"]
			if string(n.data) != want || len(r.nodes) != 3 {
				t.Errorf("%d bytes under its name, and %d files and folders in all", len(n.data), len(r.nodes))
			}
			if tt.err == nil && n.mode != 0o640 && runtime.GOOS != "windows" {
				t.Errorf("it has the mode %v", n.mode)
			}
			if got := r.finishes.Load() == 1; got != tt.sealed {
				t.Errorf("sealed: %t, asked %d times", got, r.seals.Load())
			}
			if asked := r.seals.Load() > 0; asked != (tt.sealed || tt.said != nil) {
				t.Errorf("asked %d times behind the last writes", r.seals.Load())
			}
		})
	}
}
