package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"linehaul/fault"
)

const (
	maxSecret     = 64 << 10 // bytes of a file or of a command's output
	secretTimeout = 30 * time.Second
)

// A Secret refers to a password or passphrase that is kept elsewhere:
//
//	env:NAME         an environment variable
//	file:PATH        the first line of a file, relative to the configuration
//	command:CMD      the first line that a shell command prints
//	credential:NAME  a credential that systemd hands to the service
//
// It is read anew each time that it is used, and it prints as *** in every
// format, the reference with it: a command may hold a secret itself. The zero
// Secret refers to nothing.
type Secret struct {
	ref *secretReference // a pointer, so that even fmt on an unexported field shows an address only
}

type secretReference struct {
	scheme string
	rest   string // the name, the path or the command
	dir    string // where a command runs
}

// ParseSecret reads a reference. Relative paths start in baseDir. The error is
// of kind fault.Config and does not repeat the text, which may be the secret
// itself, put where the reference belongs.
func ParseSecret(ref, baseDir string) (Secret, error) {
	scheme, rest, _ := strings.Cut(ref, ":")
	s := &secretReference{scheme: scheme, rest: rest, dir: baseDir}
	switch scheme {
	case "env":
		if rest == "" || strings.ContainsAny(rest, "= \t\x00$") {
			return Secret{}, badSecret("env: wants the name of a variable, such as env:HK1_PASS")
		}
	case "file":
		path, err := localPath(rest, baseDir)
		if err != nil {
			return Secret{}, badSecret("file: wants the path of a file, such as file:hk1.password: %v", err) // err has no path in it
		}
		s.rest = path
	case "command":
		if strings.TrimSpace(rest) == "" {
			return Secret{}, badSecret("command: wants a command that prints the secret")
		}
	case "credential":
		if !filepath.IsLocal(rest) || strings.ContainsAny(rest, `/\`) || rest == "." {
			return Secret{}, badSecret("credential: wants the name of a credential of the systemd unit")
		}
	case "keyring", "dpapi":
		return Secret{}, badSecret("secrets from %s: are planned and not in this version yet", scheme)
	default:
		return Secret{}, badSecret("write env:NAME, file:PATH, command:CMD or credential:NAME, not the secret itself")
	}
	return Secret{s}, nil
}

func badSecret(format string, args ...any) error {
	return fault.New(fault.Config, format, args...).
		WithHint("the secret itself stays out of the file: put it into an environment variable or a file that only the service can read")
}

// IsZero reports whether s refers to nothing.
func (s Secret) IsZero() bool { return s.ref == nil }

// Resolve fetches the secret. The errors name the kind of reference and, for
// variables, files and credentials, its name; never what was found there, and
// nothing of a command or its output. They are of kind fault.Key, and
// fault.Interrupted or fault.Timeout where ctx ended.
func (s Secret) Resolve(ctx context.Context) ([]byte, error) {
	if s.ref == nil {
		return nil, fault.New(fault.Key, "no secret is given")
	}
	secret, err := s.ref.fetch(ctx)
	if err != nil {
		return nil, err
	}
	secret = firstLine(secret)
	if len(secret) == 0 {
		return nil, fault.New(fault.Key, "the secret from %s is empty", s.ref.public())
	}
	return secret, nil
}

func (r *secretReference) fetch(ctx context.Context) ([]byte, error) {
	switch r.scheme {
	case "env":
		value, ok := os.LookupEnv(r.rest)
		if !ok {
			return nil, fault.New(fault.Key, "the environment variable %q is not set", r.rest).
				WithHint("set it where linehaul is started: in the unit, the service's environment or the shell")
		}
		return []byte(value), nil
	case "file":
		return readSecret(r.rest, r.public())
	case "credential":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, fault.New(fault.Key, "the secret from %s is not there: systemd gave this process no credentials", r.public()).
				WithHint("add LoadCredential=%s:PATH or LoadCredentialEncrypted= to the unit", r.rest)
		}
		return readSecret(filepath.Join(dir, r.rest), r.public())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, secretTimeout,
		fault.New(fault.Timeout, "the command for a secret ran longer than %v", secretTimeout))
	defer cancel()
	out, err := runShell(ctx, r.rest, r.dir)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run the command for a secret: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, fault.New(fault.Key, "the command for a secret failed: %w", err).
			WithHint("run the command by hand, as the user that linehaul runs as")
	}
	return out, nil
}

// public names the reference without what may be secret in it.
func (r *secretReference) public() string {
	if r.scheme == "command" {
		return "a command"
	}
	return r.scheme + ":" + r.rest
}

// readSecret reads a regular file: a pipe or device might never end.
func readSecret(path, public string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, unreadable(public, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(public, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return nil, unreadable(public, err)
	case len(data) > maxSecret:
		return nil, unreadable(public, errTooLong)
	case bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")):
		return nil, unreadable(public, errors.New("it is UTF-16 text: save it as UTF-8"))
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

var errTooLong = errors.New("it is longer than 64 KiB")

func unreadable(public string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err // the path is named already
	}
	return fault.New(fault.Key, "the secret from %s cannot be read: %w", public, err).
		WithHint("check that the file is there and that the user that linehaul runs as may read it")
}

// firstLine returns a copy of what stands before the first line break, and
// clears the rest.
func firstLine(data []byte) []byte {
	line := data
	if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
		line = data[:i]
	}
	line = bytes.Clone(line)
	clear(data)
	return line
}

// The ways in which a value may be printed. Each shows a mask.

// String returns the mask.
func (s Secret) String() string { return mask }

// GoString returns the mask.
func (s Secret) GoString() string { return mask }

// Format prints the mask for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalText returns the mask, for JSON, YAML, XML and what else uses text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue returns the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

var (
	_ fmt.Formatter  = Secret{}
	_ fmt.GoStringer = Secret{}
	_ slog.LogValuer = Secret{}
)

// secretRef is the key of a secret. Whatever its value is, messages about it
// point at the key and do not repeat the value.
type secretRef struct {
	mark
	value string
}

func (v *secretRef) take(d *decoder, n ast.Node, at spot, _ field) {
	switch t := n.(type) {
	case *ast.StringNode:
		v.value = t.Value
	case *ast.LiteralNode:
		v.value = strings.TrimSuffix(t.Value.Value, "\n")
	default:
		d.problem(at, "`%s` wants a reference such as env:NAME, got %s", at.name, describe(n)).
			suggest("write env:NAME, file:PATH, command:CMD or credential:NAME, not the secret itself")
		return
	}
	v.set(at, true)
}

func (v *secretRef) preset(_ string, at spot) { v.set(at, false) }
