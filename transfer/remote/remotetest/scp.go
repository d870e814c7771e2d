package remotetest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"linehaul/transfer/scp"
)

// source sends files and, with -r, folders: `scp -f`.
func (s *Server) source(c *stream, flags string, paths []string) int {
	src := &source{
		root: s.root, send: scp.NewSender(c, c),
		recursive: strings.Contains(flags, "r"), times: strings.Contains(flags, "p"),
	}
	for _, p := range paths {
		// The name in the record is the last element as it was asked for.
		asked := strings.TrimRight(p, "/")
		if err := src.entry(rel(p), asked[strings.LastIndexByte(asked, '/')+1:]); err != nil {
			return 1
		}
	}
	return src.status
}

type source struct {
	root             *os.Root
	send             *scp.Sender
	recursive, times bool
	status           int
}

// entry sends one file or folder under a name. What fails for this entry alone
// is told to the sink; the error is what ends the session.
func (s *source) entry(p, name string) error {
	f, err := s.root.Open(p)
	if err != nil {
		return s.warn(p, reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s.warn(p, reason(err))
	}
	rec := scp.Record{Name: name, Mode: info.Mode(), Size: info.Size()}
	if s.times {
		rec.MTime = info.ModTime()
	}
	switch {
	case info.Mode().IsRegular():
		return s.survives(s.send.SendFile(rec, f))
	case !info.IsDir() || !s.recursive:
		return s.warn(p, "not a regular file")
	}
	children, err := list(s.root, p)
	if err != nil {
		return s.warn(p, reason(err))
	}
	if err := s.send.Mkdir(rec); err != nil {
		return s.survives(err)
	}
	for _, child := range children {
		if err := s.entry(path.Join(p, child.Name()), child.Name()); err != nil {
			return err
		}
	}
	return s.survives(s.send.EndDir())
}

func (s *source) warn(p, text string) error {
	s.status = 1
	return s.send.Warn("scp: /" + p + ": " + text)
}

// survives counts an error against the entry, unless it ended the session.
func (s *source) survives(err error) error {
	if err == nil {
		return nil
	}
	s.status = 1
	return s.send.Start() // nil while the session lives
}

// sink receives into a folder or as one file: `scp -t`.
func (s *Server) sink(c *stream, flags, target string) int {
	rcv := scp.NewReceiver(c, c, scp.ReceiveOptions{Recursive: strings.Contains(flags, "r")})
	target = rel(target)
	info, err := s.root.Stat(target)
	into := err == nil && info.IsDir()
	if !into && strings.Contains(flags, "d") {
		fmt.Fprintf(c, "\x02scp: /%s: Not a directory\n", target)
		return 1
	}
	status := 0
	var open []folder
	for {
		rec, err := rcv.Next()
		var peer *scp.PeerError
		switch {
		case errors.Is(err, io.EOF):
			return status
		case errors.As(err, &peer) && !peer.Fatal:
			status = 1
			continue
		case err != nil:
			return 1
		case rec.Kind == scp.End:
			last := len(open) - 1
			if open[last].finish(s.root) != nil {
				status = 1
			}
			open = open[:last]
			continue
		}
		p := target
		if len(open) > 0 {
			p = path.Join(open[len(open)-1].path, rec.Name)
		} else if into {
			p = path.Join(target, rec.Name)
		}
		if !strings.Contains(flags, "p") {
			rec.Mode &^= 0o022
			rec.Mode |= 0o200
		}
		if rec.Kind == scp.Dir {
			open = append(open, folder{path: p, rec: rec})
			err = s.root.Mkdir(p, 0o700)
			if errors.Is(err, fs.ErrExist) {
				err = nil
			}
			if err == nil {
				_, err = rcv.Accept()
			} else {
				open = open[:len(open)-1]
			}
		} else {
			err = s.receive(rcv, p, rec)
		}
		if err != nil {
			status = 1
			rcv.Refuse("scp: /" + p + ": " + reason(err)) //nolint:errcheck // Next returns what ended the session
		}
	}
}

// receive stores one file.
func (s *Server) receive(rcv *scp.Receiver, p string, rec scp.Record) error {
	f, err := s.root.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	body, err := rcv.Accept()
	if err == nil {
		_, err = io.Copy(f, body)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return folder{path: p, rec: rec}.finish(s.root)
}

// A folder is one that is being received.
type folder struct {
	path string
	rec  scp.Record
}

// finish gives an entry its mode and times.
func (f folder) finish(root *os.Root) error {
	err := root.Chmod(f.path, f.rec.Mode.Perm())
	if !f.rec.MTime.IsZero() {
		err = errors.Join(err, root.Chtimes(f.path, f.rec.ATime, f.rec.MTime))
	}
	return err
}
