// Package bench moves the same files with linehaul and with the programs that
// people use today, in turn against one OpenSSH server, and says who was how
// fast, what it cost, and whether the files arrived whole.
//
// It is a test binary with flags, not a program of its own: the server comes
// from internal/lab, which belongs to tests. `go test` runs a case of a few
// kilobytes, so that it stays in working order; `make bench` runs all of it.
//
// # How it is fair
//
// One round is one transfer by each client, one after the other; each round
// starts with another client, so that what else the machine does meets all of
// them. Ratios are medians of the ratios within rounds. All log in with the
// same key to the same server, with the host key known, a home of their own
// and nothing in the environment; each is given the fastest settings that its
// manual names, within what is asked for here. Nothing but the transfer is
// timed: afterwards the size and SHA-256 of all that arrived are compared with
// the source's, and it is removed.
//
// # What is measured
//
// Wall time from start to exit. CPU time of the client with the processes that
// it started and waited for, and of the server's; peak memory of the client's
// largest process. Where a system cannot tell, the column is empty.
package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/delay"
	"linehaul/internal/lab"
)

// Options say what to run. The zero value runs nothing: Cases must match.
type Options struct {
	Cases  *regexp.Regexp // cases whose name matches
	Rounds int            // transfers of each client in each case
	Size   float64        // sizes and numbers of files times this

	// Linehaul are the builds to run, as PATH or NAME=PATH; the first is the
	// one that others are compared with. If there is none, this source is
	// built.
	Linehaul []string
	// Peers are names of the other clients; nil is all of them.
	Peers []string

	// Limit is the longest that one transfer may take; then it is ended.
	Limit time.Duration
	// Once is when a transfer is so long that its client has had enough
	// rounds in that case.
	Once time.Duration
	// Dir is where the files lie; the default is memory if there is room,
	// else the folder for temporary files.
	Dir string
	// Log gets a line for each transfer as it ends.
	Log io.Writer
	// Save gets the report after each case, as far as it is. It may be nil.
	Save func(*Report) error
}

// A runner holds what all cases share.
type runner struct {
	t       testing.TB
	ctx     context.Context
	o       Options
	dir     string // work: keys, homes of the clients, logs
	data    string // the files that are moved
	server  *lab.Server
	clients []client
	login   login
}

// Run runs the cases and returns what was measured. The test fails if a file
// arrived changed or a client failed, not if one was slow.
func Run(t testing.TB, o Options) *Report {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &runner{t: t, ctx: ctx, o: o, dir: t.TempDir()}
	chosen := r.chosen()
	r.clients = r.allClients()
	r.data = r.folder(chosen)
	r.startServer()

	report := r.describe()
	for _, c := range chosen {
		result := r.runCase(c)
		report.Results = append(report.Results, result)
		for _, row := range result.Rows {
			for _, x := range row.Runs {
				if x.Err != nil {
					t.Errorf("%s: %s: %v", c.Name, row.Client, x.Err)
				}
			}
		}
		if ctx.Err() != nil {
			t.Fatal("interrupted")
		}
		if o.Save != nil {
			if err := o.Save(report); err != nil {
				t.Fatal(err)
			}
		}
	}
	return report
}

// chosen are the cases to run, in their sizes here.
func (r *runner) chosen() []Case {
	r.t.Helper()
	var some []Case
	for _, c := range Cases() {
		if r.o.Cases != nil && r.o.Cases.MatchString(c.Name) {
			some = append(some, c.scaled(r.o.Size))
		}
	}
	if len(some) == 0 {
		r.t.Fatalf("no case matches %q", r.o.Cases)
	}
	return some
}

// allClients are linehaul's builds and the peers, in the order of the tables.
func (r *runner) allClients() []client {
	r.t.Helper()
	builds := r.o.Linehaul
	if len(builds) == 0 {
		builds = []string{Build(r.t, r.dir)}
	}
	var all []client
	for i, b := range builds {
		name, path, named := strings.Cut(b, "=")
		if !named {
			name, path = "linehaul", b
			if i > 0 {
				name = fmt.Sprintf("linehaul %d", i+1)
			}
		}
		path, err := filepath.Abs(path)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, linehaul(name, path))
	}
	for _, p := range peers() {
		if r.o.Peers == nil || slices.Contains(r.o.Peers, p.name) {
			lab.Need(r.t, p.programs...)
			all = append(all, p)
		}
	}
	if want := len(r.o.Peers); r.o.Peers != nil && len(all)-len(builds) != want {
		r.t.Fatalf("some of the peers %q are unknown", r.o.Peers)
	}
	return all
}

// Build makes linehaul from this source, as it is shipped, in dir.
func Build(t testing.TB, dir string) string {
	t.Helper()
	root, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(root, "go.mod")); missing == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("not inside the source: name a build of linehaul")
		}
		root = filepath.Dir(root)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "linehaul")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/linehaul")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// memoryDir is a file system in memory on every Linux.
const memoryDir = "/dev/shm"

// folder makes the folder for the files: in memory if there is twice the room
// that the largest case needs for its source and its copy.
func (r *runner) folder(cases []Case) string {
	r.t.Helper()
	var most int64
	for _, c := range cases {
		most = max(most, c.Size*int64(c.Files))
	}
	parent := r.o.Dir
	if parent == "" && room(memoryDir) > 4*most {
		parent = memoryDir
	}
	dir, err := os.MkdirTemp(parent, "linehaul-bench-")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { os.RemoveAll(dir) })    //nolint:errcheck // what is left is in a folder for temporary files
	if err := os.Chmod(dir, 0o755); err != nil { // the server's user must enter
		r.t.Fatal(err)
	}
	return dir
}

// startServer starts sshd with its own limits on connections and sessions, and
// makes the keys.
func (r *runner) startServer() {
	r.t.Helper()
	key := lab.Keygen(r.t, filepath.Join(r.dir, "key"), "ed25519")
	r.server = lab.StartSSHD(r.t, lab.SSHD{
		HostKeys:       []string{"ed25519"},
		AuthorizedKeys: []string{key + ".pub"},
		Tester:         os.Getuid() == 0,
		Config:         "MaxStartups 10:30:100\nMaxSessions 10\nLogLevel ERROR\n",
	})
	ppk := key
	if lab.Path("puttygen") != "" {
		ppk = filepath.Join(r.dir, "key.ppk")
		lab.Run(r.t, "puttygen", key, "-o", ppk)
	}
	r.login = login{
		user: r.server.User, host: r.server.Host, key: key, ppk: ppk,
		fingerprint: r.server.Fingerprint(), knownHosts: filepath.Join(r.dir, "known_hosts"),
	}
}

// runCase runs all rounds of a case.
func (r *runner) runCase(c Case) Result {
	r.t.Helper()
	port := r.server.Port
	if c.RTT > 0 {
		line, err := delay.Listen(r.server.Addr, delay.Options{RTT: c.RTT})
		if err != nil {
			r.t.Fatal(err)
		}
		defer line.Close() //nolint:errcheck // nothing is asked of it any more
		port = line.Port()
	}
	known := strings.ReplaceAll(r.server.KnownHosts(), "]:"+strconv.Itoa(r.server.Port)+" ", "]:"+strconv.Itoa(port)+" ")
	if err := os.WriteFile(r.login.knownHosts, []byte(known), 0o600); err != nil {
		r.t.Fatal(err)
	}

	source, err := c.make(filepath.Join(r.data, "source"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer os.RemoveAll(filepath.Join(r.data, "source")) //nolint:errcheck // the next one fails if it is still there
	result := Result{Case: c}
	for _, cl := range r.clients {
		result.Rows = append(result.Rows, Row{Client: cl.name, Linehaul: cl.linehaul, Old: cl.old})
	}
	for round := range r.o.Rounds {
		for i := range r.clients {
			i = (i + round) % len(r.clients)
			row := &result.Rows[i]
			if r.ctx.Err() != nil || row.enough(r.o.Once) {
				continue
			}
			x := r.transfer(c, r.clients[i], source, port)
			x.Round = round
			row.Runs = append(row.Runs, x)
			fmt.Fprintf(r.o.Log, "%s, round %d, %s: %s\n", c.Name, round+1, row.Client, x)
		}
	}
	return result
}

// transfer runs one client once, and checks what it brought.
func (r *runner) transfer(c Case, cl client, source tree, port int) (x Transfer) {
	target := filepath.Join(r.data, "target")
	home := filepath.Join(r.dir, "home")
	for _, dir := range []string{target, home} {
		if err := os.RemoveAll(dir); err != nil {
			return Transfer{Err: err}
		}
		if err := os.Mkdir(dir, 0o755); err != nil { // the server's user must enter
			return Transfer{Err: err}
		}
	}
	defer os.RemoveAll(target) //nolint:errcheck // the next transfer says so
	r.server.Own(target)
	j := job{login: r.login, port: port, put: c.Put, tree: c.Files > 1, source: source.path, target: target, home: home}

	before, known := r.server.Spent()
	x = r.launch(cl, j)
	if after, still := r.server.Spent(); known && still {
		x.ServerCPU = after - before
	}
	if x.Err != nil || x.TimedOut {
		return x
	}
	arrived, err := digestOf(filepath.Join(target, filepath.Base(source.path)))
	switch {
	case err != nil:
		x.Err = fmt.Errorf("read what arrived: %w", err)
	case arrived != source.digest:
		x.Err = fmt.Errorf("%d files of %d bytes arrived with another content than the %d of %d bytes sent",
			arrived.files, arrived.bytes, source.files, source.bytes)
	}
	return x
}

// describe says what the measurement was made with.
func (r *runner) describe() *Report {
	report := &Report{}
	for _, cl := range r.clients {
		if v := cl.version(r.ctx); v != "" && !slices.Contains(report.Versions, v) {
			report.Versions = append(report.Versions, v)
		}
	}
	if banner := banner(r.ctx, r.server.Addr); banner != "" {
		report.Versions = append(report.Versions, "server "+banner)
	}
	return report
}

// banner is the version that the server greets with.
func banner(ctx context.Context, addr string) string {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	b := make([]byte, 255) // RFC 4253, section 4.2
	n, _ := c.Read(b)
	line, _, _ := strings.Cut(string(b[:n]), "\r\n")
	return strings.TrimPrefix(line, "SSH-2.0-")
}
