package remotetest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A stream is a session's channel, with the faults that were asked for.
type stream struct {
	ssh.Channel
	delay time.Duration
	stall *stall       // nil for none
	cut   atomic.Int64 // bytes until the session ends; 0 for never
}

func (c *stream) Write(p []byte) (int, error) {
	time.Sleep(c.delay)
	if c.stall != nil && !c.stall.wait(len(p)) {
		return 0, io.ErrClosedPipe
	}
	if c.cut.Load() > 0 && c.cut.Add(-int64(len(p))) <= 0 {
		c.Close() //nolint:errcheck // the connection is gone then
		return 0, io.ErrClosedPipe
	}
	return c.Channel.Write(p)
}

// session serves one session: the first request that asks for SFTP or for a
// command decides, others are refused.
func (s *Server) session(n ssh.NewChannel) {
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close() //nolint:errcheck // the connection is gone then
	for req := range requests {
		var arg struct{ Text string }
		ssh.Unmarshal(req.Payload, &arg) //nolint:errcheck // other requests have other payloads
		sftpWanted := req.Type == "subsystem" && arg.Text == "sftp" && !s.o.NoSFTP
		execWanted := req.Type == "exec" && !s.o.NoExec
		req.Reply(sftpWanted || execWanted, nil) //nolint:errcheck // the connection is gone then
		if !sftpWanted && !execWanted {
			continue
		}
		s.wg.Go(func() { ssh.DiscardRequests(requests) })
		s.log.Info("session", "request", req.Type, "argument", arg.Text)
		c := &stream{Channel: ch, delay: s.o.Faults.Delay}
		c.cut.Store(s.o.Faults.CutSession)
		if n := s.o.Faults.StallSession; n > 0 {
			c.stall = &stall{left: n, stopped: s.stopped}
		}
		status := 0
		if sftpWanted {
			s.serveSFTP(c)
		} else {
			status = s.run(c, arg.Text)
		}
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)})) //nolint:errcheck,gosec // 0 to 127; the connection is gone then
		return
	}
}

// serveSFTP runs the protocol until the client ends it.
func (s *Server) serveSFTP(c *stream) {
	serve := s.o.SFTP
	if serve == nil {
		h := handlers{s.root}
		serve = func(rw io.ReadWriteCloser) error {
			return sftp.NewRequestServer(rw, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h}).Serve()
		}
	}
	if err := serve(c); err != nil && !errors.Is(err, io.EOF) {
		s.log.Info("SFTP session ended", "error", err)
	}
}

// run runs a command line of words, && and ||, and returns its exit status.
func (s *Server) run(c *stream, line string) int {
	if s.o.Run != nil {
		output, status := s.o.Run(line)
		io.WriteString(c, output) //nolint:errcheck // the connection is gone then
		return status
	}
	words, err := split(line)
	if err != nil {
		fmt.Fprintf(c.Stderr(), "linehaul: %v\n", err)
		return 2
	}
	status, skip := 0, false
	for len(words) > 0 {
		n := 0
		for n < len(words) && !words[n].operator {
			n++
		}
		if !skip {
			args := make([]string, n)
			for i := range args {
				args[i] = words[i].text
			}
			status = s.command(c, args)
		}
		if n == len(words) {
			break
		}
		skip = (words[n].text == "&&") != (status == 0)
		words = words[n+1:]
	}
	return status
}

// command runs one simple command.
func (s *Server) command(c *stream, args []string) int {
	if len(args) == 0 {
		fmt.Fprintln(c.Stderr(), "linehaul: no command")
		return 2
	}
	name, flags, paths := args[0], "", args[1:]
	for len(paths) > 0 && strings.HasPrefix(paths[0], "-") {
		flag := paths[0]
		paths = paths[1:]
		if flag == "--" {
			break
		}
		flags += flag[1:]
	}
	var err error
	switch {
	case name == "scp" && strings.Contains(flags, "f"):
		return s.source(c, flags, paths)
	case name == "scp" && strings.Contains(flags, "t") && len(paths) == 1:
		return s.sink(c, flags, paths[0])
	case name == "mv" && len(paths) == 2:
		err = s.move(rel(paths[0]), rel(paths[1]), strings.Contains(flags, "n"))
	case name == "rm" && len(paths) == 1:
		if err = removeFile(s.root, rel(paths[0])); errors.Is(err, fs.ErrNotExist) && strings.Contains(flags, "f") {
			err = nil
		}
	case name == "mkdir" && len(paths) == 1:
		err = s.root.Mkdir(rel(paths[0]), 0o777)
	case name == "rmdir" && len(paths) == 1:
		err = removeFolder(s.root, rel(paths[0]))
	case name == "test":
		return s.test(args[1:])
	default:
		fmt.Fprintf(c.Stderr(), "linehaul: %s: command not found\n", name)
		return 127
	}
	if err != nil {
		fmt.Fprintf(c.Stderr(), "%s: %s\n", name, reason(err))
		return 1
	}
	return 0
}

// move renames as mv does: into b if that is a folder. With keep, it does
// nothing where there is something already, and says nothing of it.
func (s *Server) move(a, b string, keep bool) error {
	if info, err := s.root.Stat(b); err == nil && info.IsDir() {
		b = path.Join(b, path.Base(a))
	}
	if _, err := s.root.Lstat(b); err == nil && keep {
		return nil
	}
	return s.root.Rename(a, b)
}

// test knows -d, -e, -L and ! before them.
func (s *Server) test(args []string) int {
	not := len(args) > 0 && args[0] == "!"
	if not {
		args = args[1:]
	}
	if len(args) != 2 || (args[0] != "-d" && args[0] != "-e" && args[0] != "-L") {
		return 2
	}
	look := s.root.Stat
	if args[0] == "-L" {
		look = s.root.Lstat
	}
	info, err := look(rel(args[1]))
	if yes := err == nil && (args[0] == "-e" || args[0] == "-d" && info.IsDir() || info.Mode()&fs.ModeSymlink != 0); yes != not {
		return 0
	}
	return 1
}

// A word of a command line, or an operator between commands.
type word struct {
	text     string
	operator bool
}

// split cuts a command line as a shell does, with quotes and backslashes and
// without any expansion.
func split(line string) ([]word, error) {
	var words []word
	var text strings.Builder
	inWord := false
	end := func() {
		if inWord {
			words = append(words, word{text: text.String()})
			text.Reset()
			inWord = false
		}
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == ' ' || c == '\t':
			end()
		case (c == '&' || c == '|') && i+1 < len(line) && line[i+1] == c:
			end()
			words = append(words, word{text: line[i : i+2], operator: true})
			i++
		case strings.IndexByte("&|;<>()$`\n", c) >= 0:
			return nil, fmt.Errorf("%q is not supported in a command", c)
		case c == '\'' || c == '"':
			inWord = true
			n := strings.IndexByte(line[i+1:], c)
			if n < 0 {
				return nil, errors.New("unterminated quote")
			}
			text.WriteString(line[i+1 : i+1+n])
			i += n + 1
		case c == '\\' && i+1 < len(line):
			i++
			inWord = true
			text.WriteByte(line[i])
		default:
			inWord = true
			text.WriteByte(c)
		}
	}
	end()
	return words, nil
}

// rel turns a client's path into one below the root.
func rel(p string) string {
	if p = path.Clean("/" + p)[1:]; p == "" {
		return "."
	}
	return p
}

// reason is an error without what went before it, in the words that Unix
// programs use, since clients look for them.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	case errors.Is(err, fs.ErrExist):
		return "File exists"
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}
