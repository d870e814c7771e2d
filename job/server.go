package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// A Server is what is behind the port, for checks: one connection for all of
// them, made when the first needs it. Close it when they have ended.
type Server struct {
	Host   remote.Host
	Dialer remote.Dialer
	Login  bool // it may be logged in to
	Log    *slog.Logger
	Now    func() time.Time
	ID     string // for the names of temporary files

	mu    sync.Mutex
	conn  *remote.Conn
	files transfer.WritableRemote
	err   error
}

// SSH says what the server is, whether its key is the known one, and logs in if
// that is allowed.
func (s *Server) SSH(ctx context.Context) (preflight.SSH, error) {
	g, err := remote.Greet(ctx, s.Dialer, s.Host, s.Log)
	out := preflight.SSH{
		Banner: g.Version, Offers: g.KeyExchanges, KeyTypes: g.HostKeyTypes, HostKey: g.HostKey,
		RoundTrips: g.Trips, TookMS: float64(g.Took.Microseconds()) / 1000,
	}
	switch {
	case err == nil:
		out.HostKeyIs = "known"
	case fault.Is(err, fault.HostKeyUnknown):
		out.HostKeyIs = "unknown"
	case fault.Is(err, fault.HostKeyChanged):
		out.HostKeyIs = "another one"
	}
	if err != nil || !s.Login {
		return out, err
	}
	if _, err := s.connected(ctx); err != nil {
		return out, err
	}
	out.LoggedIn = s.Host.User
	return out, nil
}

// patience is how long a check may take: the greeting and the login are a
// connection each, through each host on the way.
func (s *Server) patience() time.Duration {
	limit := checkSlack
	for at := &s.Host; at != nil; at = at.Jump {
		one := *at
		one.Jump = nil
		limit += 2 * one.First().ConnectTimeout
	}
	return limit
}

// connected is the connection, logged in.
func (s *Server) connected(ctx context.Context) (transfer.WritableRemote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files != nil || s.err != nil {
		return s.files, s.err
	}
	if s.conn, s.err = remote.Dial(ctx, s.Dialer, s.Host, s.Log); s.err != nil {
		return nil, s.err
	}
	s.files, s.err = s.conn.Files(ctx)
	return s.files, s.err
}

// Close ends the connection.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}

// Clock says how far the server's clock is from ours: by the time that a command
// tells, else by that of a new file in the login folder.
func (s *Server) Clock(ctx context.Context) (preflight.Clock, error) {
	files, err := s.connected(ctx)
	if err != nil {
		return preflight.Clock{}, err
	}
	began := s.Now()
	at, err := s.time(ctx, files)
	if err != nil {
		return preflight.Clock{}, err
	}
	ended := s.Now()
	// It is a whole second, which was cut off at some instant between.
	least, most := at.Sub(ended), at.Add(time.Second).Sub(began)
	return preflight.Clock{
		OffsetMS: float64((least + most).Milliseconds()) / 2, WithinMS: float64((most - least).Milliseconds()) / 2,
	}, nil
}

func (s *Server) time(ctx context.Context, files transfer.WritableRemote) (at time.Time, err error) {
	if c, ok := files.(transfer.Clock); ok {
		if at, err := c.Clock(ctx); err == nil {
			return at, nil
		}
	}
	err = s.withFile(ctx, files, ".", "clock", func(name string) error {
		e, err := files.Stat(ctx, name)
		at = e.MTime
		return err
	})
	return at, err
}

// withFile makes a file in a folder for a check, and removes it again. Checks run
// side by side, in one folder maybe.
func (s *Server) withFile(ctx context.Context, files transfer.WritableRemote, folder, check string, f func(name string) error) (err error) {
	name := path.Join(folder, transfer.TrialName(check, s.ID))
	w, err := files.Create(ctx, name, transfer.Attrs{Size: 1, Mode: 0o600, MTime: s.Now()})
	if err != nil {
		return err
	}
	defer func() {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		w.Close() //nolint:errcheck // it is removed
		if removeErr := files.Remove(removing, name); err == nil {
			err = removeErr
		}
	}()
	if _, err := w.Write([]byte{'\n'}); err != nil {
		return err
	}
	return f(name)
}

// Space asks for the room in a folder of the server, for so many bytes and
// files, by writing to it.
func (s *Server) Space(ctx context.Context, folder string, bytes, count int64) (preflight.Space, error) {
	out := preflight.Space{Folder: folder, Where: s.Host.Name, Free: -1, Inodes: -1, Needed: bytes, NeedFiles: count}
	files, err := s.connected(ctx)
	if err != nil {
		return out, err
	}
	for { // as the run would make the folder
		e, err := files.Stat(ctx, out.Folder)
		if err == nil && e.Mode.IsDir() {
			break
		}
		above := path.Dir(out.Folder)
		if err == nil || above == out.Folder || out.Folder == "." {
			return out, fault.New(fault.RemoteFile, "%q on %s is no folder that can be written", out.Folder, s.Host.Name)
		}
		out.Folder = above
	}
	if err := s.withFile(ctx, files, out.Folder, "space", func(string) error { return nil }); err != nil {
		return out, fmt.Errorf("write in %q on %s: %w", out.Folder, s.Host.Name, err)
	}
	out.Written = true
	r, ok := files.(transfer.Roomer)
	if !ok {
		return out, nil
	}
	room, err := r.Room(ctx, out.Folder)
	if err == nil && room.Known {
		out.Free = int64(min(room.Free, 1<<62))
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return out, err
}

// checkSlack is how much longer than its connections a check of the server may
// take.
const checkSlack = 10 * time.Second

// Check looks at what a job would find now: the line, the server, and the room
// for what it would move. each is told of each finding as it comes.
func (r *Runner) Check(ctx context.Context, j *Job, p preflight.Policy, login bool, each func(preflight.Finding)) (preflight.Report, error) {
	dialer, err := r.Links.Dialer(j.Host, r.Dialer)
	if err != nil {
		return preflight.Report{}, err
	}
	s, done, err := r.Links.Subject(j.Host, dialer)
	if err != nil {
		return preflight.Report{}, err
	}
	defer done()
	log := slog.New(slog.DiscardHandler)
	if r.Console != nil {
		log = slog.New(r.Console)
	}
	values, err := r.valuesNow(j)
	if err != nil {
		return preflight.Report{}, err
	}
	server := &Server{Host: j.Host, Dialer: dialer, Login: login, Log: log, Now: r.Now, ID: values.Run}
	defer server.Close()
	s.SSH = server.SSH
	s.Patience = server.patience()
	if login {
		s.Clock = server.Clock
	}
	if j.Name != "" {
		s.Name = j.Name
		s.Space = func(ctx context.Context) (preflight.Space, error) { return r.space(ctx, j, server, login) }
		s.SpaceHere = j.Put == nil && !login
	}
	report := preflight.Look(ctx, s, p, r.Now, each)
	report.Version = r.Version
	return report, nil
}

// space is the room where a job's files would land, beside what they need.
func (r *Runner) space(ctx context.Context, j *Job, server *Server, login bool) (preflight.Space, error) {
	bytes, count := int64(-1), int64(-1)
	if login {
		bytes, count = 0, 0
		err := r.Plan(ctx, j, func(p Planned) error {
			if p.Does == "get" || p.Does == "put" {
				bytes, count = bytes+p.Bytes, count+1
			}
			return nil
		})
		if err != nil && !fault.Is(err, fault.NoMatch) {
			return preflight.Space{}, err
		}
	}
	values, err := r.valuesNow(j)
	if err != nil {
		return preflight.Space{}, err
	}
	if j.Put == nil {
		dest, err := j.local(values)
		if err != nil {
			return preflight.Space{}, err
		}
		return preflight.Room(dest.root, bytes, count)
	}
	if !login {
		return preflight.Space{}, errors.New("that is known after a login only")
	}
	to, err := j.To.Expand(values)
	if err != nil {
		return preflight.Space{}, err
	}
	folder := strings.TrimSuffix(to, "/")
	if folder == to {
		folder = path.Dir(to)
	}
	if folder == "" {
		folder = "."
	}
	return server.Space(ctx, folder, bytes, count)
}
