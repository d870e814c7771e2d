package transfer_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// run is the id of the runs in these tests; run2 is one of a day and a second
// earlier.
const (
	run  = "20261123T023001Z-123x7k2q"
	run2 = "20261122T023000Z-zzzzzzzz"
)

// epoch is the mtime of files in these tests, and what a server's clock says.
func epoch() time.Time { return time.Date(2026, 11, 20, 1, 2, 3, 0, time.UTC) }

// A node is a file, folder or link on the server.
type node struct {
	data  []byte
	mode  fs.FileMode
	mtime time.Time
	link  string
	lie   int64 // added to the size that the server tells
}

// memRemote is a server in memory, with faults to be set before it is used.
type memRemote struct {
	mu    sync.Mutex
	nodes map[string]*node
	open  atomic.Int64 // readers and writers that are not closed

	extra      map[string][]transfer.Entry // that List makes up
	denied     map[string]bool             // paths that may not be listed or opened
	sequential bool                        // no ReaderAt and no WriterAt
	shorten    int                         // at most so many bytes an answer; 0: any
	tooMuch    bool                        // an answer says that it is longer than asked
	stuck      bool                        // answers are empty
	hang       bool                        // requests hang until the file is closed
	// before is called before each request for data, from 1, and may fail it
	// or change the tree, which is locked.
	before   func(n int, nodes map[string]*node) error
	requests int
	fail     map[string]error // by method: "Open", "Commit", "Replace", "Mkdir", "Create"
	log      []string         // changes: "create P", "replace P Q", "remove P", "mkdir P"
}

func newRemote(files map[string]string) *memRemote {
	r := &memRemote{nodes: map[string]*node{"/": dir()}, denied: map[string]bool{}, extra: map[string][]transfer.Entry{}, fail: map[string]error{}}
	for p, text := range files {
		switch {
		case strings.HasSuffix(p, "/"):
			r.put(strings.TrimSuffix(p, "/"), dir())
		case strings.HasPrefix(text, "-> "):
			r.put(p, &node{mode: fs.ModeSymlink | 0o777, mtime: epoch(), link: text[3:]})
		default:
			r.put(p, file(text))
		}
	}
	return r
}

func dir() *node { return &node{mode: fs.ModeDir | 0o755, mtime: epoch()} }
func file(text string) *node {
	return &node{data: []byte(text), mode: 0o640, mtime: epoch()}
}

// put adds a node with the folders that lead to it.
func (r *memRemote) put(p string, n *node) {
	for d := path.Dir(p); r.nodes[d] == nil; d = path.Dir(d) {
		r.nodes[d] = dir()
	}
	r.nodes[p] = n
}

// clean makes a path absolute; the login folder is /home.
func clean(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = "/home/" + p
	}
	return path.Clean(p)
}

func failure(op, p string, why error) error {
	return fault.New(fault.RemoteFile, "%s %q: %w", op, p, why)
}

// find follows links. It holds r.mu.
func (r *memRemote) find(op, p string) (string, *node, error) {
	p = clean(p)
	for range 10 {
		n := r.nodes[p]
		switch {
		case n == nil:
			// A link may stand in the middle.
			for d := path.Dir(p); d != "/"; d = path.Dir(d) {
				if up := r.nodes[d]; up != nil && up.link != "" {
					return r.find(op, path.Join(d, "..", up.link, p[len(d):]))
				}
			}
			return "", nil, failure(op, p, fs.ErrNotExist)
		case n.link == "":
			return p, n, nil
		case strings.HasPrefix(n.link, "/"):
			p = n.link
		default:
			p = path.Join(path.Dir(p), n.link)
		}
	}
	return "", nil, failure(op, p, errors.New("too many links"))
}

func (n *node) entry(name string) transfer.Entry {
	return transfer.Entry{Name: name, Size: int64(len(n.data)) + n.lie, Mode: n.mode, MTime: n.mtime}
}

func (r *memRemote) Stat(ctx context.Context, p string) (transfer.Entry, error) {
	if err := ctx.Err(); err != nil {
		return transfer.Entry{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, n, err := r.find("stat", p)
	if err != nil {
		return transfer.Entry{}, err
	}
	return n.entry(path.Base(p)), nil
}

func (r *memRemote) List(ctx context.Context, dir string) ([]transfer.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, n, err := r.find("list", dir)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, failure("list", dir, errors.New("failure"))
	}
	if r.denied[p] {
		return nil, failure("list", dir, fs.ErrPermission)
	}
	entries := append([]transfer.Entry(nil), r.extra[p]...)
	for at, n := range r.nodes {
		if at != "/" && path.Dir(at) == p {
			entries = append(entries, n.entry(path.Base(at)))
		}
	}
	return entries, nil
}

func (r *memRemote) Open(ctx context.Context, p string) (transfer.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, n, err := r.find("open", p)
	switch {
	case err != nil:
		return nil, err
	case r.fail["Open"] != nil:
		return nil, r.fail["Open"]
	case r.denied[at]:
		return nil, failure("open", p, fs.ErrPermission)
	}
	r.open.Add(1)
	h := &handle{r: r, n: n, name: path.Base(at), path: at, closed: make(chan struct{})}
	if r.sequential {
		return struct{ transfer.Reader }{h}, nil
	}
	return h, nil
}

// A handle is an open file, for reading or writing.
type handle struct {
	r      *memRemote
	n      *node
	name   string
	path   string
	at     int64
	once   sync.Once
	closed chan struct{}
	attrs  transfer.Attrs
	commit bool
}

// Stat looks at the path and not at the node, as some servers do.
func (h *handle) Stat(ctx context.Context) (transfer.Entry, error) { return h.r.Stat(ctx, h.path) }

func (h *handle) Close() error {
	h.once.Do(func() {
		close(h.closed)
		h.r.open.Add(-1) // without mu, which a request may hold that waits
	})
	return nil
}

// request is what each request for data goes through. It returns with r.mu
// held, unless it fails.
func (h *handle) request() error {
	h.r.mu.Lock()
	h.r.requests++
	if h.r.before != nil {
		if err := h.r.before(h.r.requests, h.r.nodes); err != nil {
			h.r.mu.Unlock()
			return err
		}
	}
	if h.r.hang {
		h.r.mu.Unlock()
		<-h.closed
		return errors.New("the file is closed")
	}
	return nil
}

func (h *handle) ReadAt(b []byte, off int64) (int, error) {
	if err := h.request(); err != nil {
		return 0, err
	}
	defer h.r.mu.Unlock()
	if h.r.tooMuch {
		return len(b) + 1, nil
	}
	if h.r.stuck {
		return 0, nil
	}
	n := h.r.nodes[h.path]
	if n == nil {
		return 0, failure("read", h.path, fs.ErrNotExist)
	}
	if off >= int64(len(n.data)) {
		return 0, io.EOF
	}
	want := b
	if h.r.shorten > 0 {
		want = b[:min(len(b), h.r.shorten)]
	}
	got := copy(want, n.data[off:])
	if got < len(b) {
		return got, io.EOF // what pkg/sftp says of a short answer, too
	}
	return got, nil
}

func (h *handle) Read(b []byte) (int, error) {
	n, err := h.ReadAt(b, h.at)
	h.at += int64(min(n, len(b)))
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (r *memRemote) Create(ctx context.Context, p string, attrs transfer.Attrs) (transfer.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p = clean(p)
	if err := r.fail["Create"]; err != nil {
		return nil, err
	}
	if r.nodes[p] != nil || r.nodes[path.Dir(p)] == nil {
		return nil, failure("create", p, errors.New("failure"))
	}
	n := &node{mode: 0o600, mtime: epoch()}
	r.nodes[p] = n
	r.open.Add(1)
	r.log = append(r.log, "create "+p)
	h := &handle{r: r, n: n, path: p, attrs: attrs, closed: make(chan struct{})}
	if r.sequential {
		return struct{ transfer.Writer }{writer{h}}, nil
	}
	return writerAt{writer{h}}, nil
}

// writer hides the reading half of a handle.
type writer struct{ h *handle }

func (w writer) Close() error { return w.h.Close() }

func (w writer) Write(b []byte) (int, error) {
	n, err := w.writeAt(b, w.h.at)
	w.h.at += int64(n)
	return n, err
}

func (w writer) writeAt(b []byte, off int64) (int, error) {
	if err := w.h.request(); err != nil {
		return 0, err
	}
	defer w.h.r.mu.Unlock()
	if short := w.h.r.shorten; short > 0 && len(b) > short {
		b = b[:short]
	}
	if grow := off + int64(len(b)) - int64(len(w.h.n.data)); grow > 0 {
		w.h.n.data = append(w.h.n.data, make([]byte, grow)...)
	}
	return copy(w.h.n.data[off:], b), nil
}

func (w writer) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.h.r.mu.Lock()
	defer w.h.r.mu.Unlock()
	if err := w.h.r.fail["Commit"]; err != nil {
		return err
	}
	w.h.n.mode, w.h.n.mtime, w.h.commit = w.h.attrs.Mode, w.h.attrs.MTime, true
	return nil
}

type writerAt struct{ writer }

func (w writerAt) WriteAt(b []byte, off int64) (int, error) { return w.writeAt(b, off) }

func (w writerAt) WritePacketAt(packet []byte, off int64, sent func()) error {
	n, err := w.writeAt(packet[transfer.Headroom:], off)
	if err == nil && n < len(packet)-transfer.Headroom {
		err = io.ErrShortWrite
	}
	clear(packet) // as somebody else would, who has it now
	sent()
	return err
}

// Reopen opens a file that was created before.
func (r *memRemote) Reopen(ctx context.Context, p string, attrs transfer.Attrs) (transfer.Writer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p = clean(p)
	n := r.nodes[p]
	if n == nil {
		return nil, failure("open", p, fs.ErrNotExist)
	}
	r.open.Add(1)
	return writerAt{writer{&handle{r: r, n: n, path: p, attrs: attrs, closed: make(chan struct{})}}}, nil
}

func (r *memRemote) Replace(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fail["Replace"]; err != nil {
		return err
	}
	from, to = clean(from), clean(to)
	if r.nodes[from] == nil {
		return failure("rename", from, fs.ErrNotExist)
	}
	r.nodes[to] = r.nodes[from]
	delete(r.nodes, from)
	r.log = append(r.log, "replace "+to)
	return nil
}

func (r *memRemote) Remove(ctx context.Context, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p = clean(p)
	if r.nodes[p] != nil {
		delete(r.nodes, p)
		r.log = append(r.log, "remove "+p)
	}
	return nil
}

func (r *memRemote) Mkdir(ctx context.Context, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p = clean(p)
	switch {
	case r.fail["Mkdir"] != nil:
		return r.fail["Mkdir"]
	case r.nodes[path.Dir(p)] == nil:
		return failure("mkdir", p, fs.ErrNotExist)
	case r.nodes[p] == nil:
		r.nodes[p] = dir()
		r.log = append(r.log, "mkdir "+p)
	}
	return nil
}

var _ transfer.WritableRemote = (*memRemote)(nil)

// checkLeaks fails the test if it ends with more goroutines than it began
// with, or with files of r open.
func checkLeaks(t *testing.T, r *memRemote) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(2 * time.Second)
		for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if now := runtime.NumGoroutine(); now > before {
			buf := make([]byte, 1<<16)
			t.Errorf("%d goroutines, %d at the beginning\n%s", now, before, buf[:runtime.Stack(buf, true)])
		}
		if r != nil && r.open.Load() != 0 {
			t.Errorf("%d files are open on the server", r.open.Load())
		}
	})
}

// byRel names targets by what they are called below the matched folder.
func byRel(i transfer.Item) (string, error) { return i.Rel, nil }

// place gives items their targets.
func place(t *testing.T, items []transfer.Item, name func(transfer.Item) (string, error)) []transfer.Item {
	t.Helper()
	placed, err := transfer.Place(items, false, name)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

// found finds items on a server.
func found(t *testing.T, r transfer.Remote, sources ...string) []transfer.Item {
	t.Helper()
	items, err := transfer.Collect(transfer.Find{Recursive: true}.Remote(t.Context(), r, sources...))
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// kind is the layer of an error for a message.
func kind(err error) string {
	if err == nil {
		return "no error"
	}
	return fault.KindOf(err).String()
}
