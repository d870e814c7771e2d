package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"linehaul/transfer/scp"
	"linehaul/transfer/sftp"
)

// maxSumOutput bounds what is read of a command that sums a file up, in bytes.
const maxSumOutput = 4 << 10

var (
	// ErrNoSum says that the server has no way to sum up a file that can be asked.
	ErrNoSum = errors.New("the server cannot say the SHA-256 of a file")
	// ErrNoSumOfFile is ErrNoSum of one file, and says nothing of others.
	ErrNoSumOfFile = fmt.Errorf("%w", ErrNoSum)
)

// A Summer is a server's files that can be summed up without a command.
type Summer interface {
	// Sum returns the SHA-256 of a file, in lower-case hexadecimal, and by what
	// it was made. The error is ErrNoSum where the server cannot do it.
	Sum(ctx context.Context, path string) (sum, by string, err error)
}

var _ Summer = (*sftpFiles)(nil)

// Sum asks by the check-file extension, also where the server does not name it:
// ProFTPD (seen with 1.3.8) has it in version 3 all the same. The server reads
// all of the file before it answers, and one that is a single process answers no
// keepalive meanwhile.
func (f *sftpFiles) Sum(ctx context.Context, path string) (sum, by string, err error) {
	version := f.c.Info().ServerVersion
	if _, named := f.client.Extension(sftp.ExtCheckFile); !named && (strings.Contains(version, "OpenSSH") || strings.Contains(version, "dropbear")) {
		return "", "", ErrNoSum // these are known not to have it
	}
	sum, err = leave(ctx, f.c, nil, func() (sum string, err error) {
		f.c.watch.silently(func() { sum, err = f.client.SHA256(ctx, path) })
		return sum, err
	}, nil)
	var refused *sftp.StatusError
	switch {
	case errors.As(err, &refused) && !errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("%w: %s", ErrNoSum, oneLine(refused.Error()))
	case err != nil:
		return "", "", f.c.fileError("sum up", path, err)
	}
	return sum, sftp.ExtCheckFile, nil
}

// sumForm finds a SHA-256 in what a program prints.
func sumForm() *regexp.Regexp { return regexp.MustCompile(`\b[0-9A-Fa-f]{64}\b`) }

// Sum asks the server for the SHA-256 of a file, in lower-case hexadecimal, and
// says which program made it. The file must have that size in bytes where the
// program sees it: behind a chroot of SFTP a shell would sum up another file.
// The error is ErrNoSum where commands are refused or no program is there, and
// ErrNoSumOfFile where a command cannot have the name, or its shell sees something
// else there. The server may take as long as it needs; it must answer keepalives
// meanwhile.
func (c *Conn) Sum(ctx context.Context, path string, size int64) (sum, program string, err error) {
	if strings.Contains(c.Info().ServerVersion, "OpenSSH_for_Windows") {
		return c.sumOnWindows(ctx, path, size)
	}
	arg, err := sumArg(path)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrNoSumOfFile, err)
	}
	text, answered, err := c.sumInLoop(ctx, arg)
	if err == nil && !answered {
		text, err = c.sumOnce(ctx, sumOf(scp.Quote(arg)))
	}
	switch {
	case err != nil && c.ended(ctx):
		return "", "", c.fileError("sum up", path, err)
	case err != nil:
		return "", "", fmt.Errorf("%w: %w", ErrNoSum, err)
	}
	sum, program, err = parseSum(text, size)
	switch {
	case errors.Is(err, errOtherSize), answered && text == "":
		return "", "", fmt.Errorf("%w: %w", ErrNoSumOfFile, err)
	case err != nil:
		return "", "", fmt.Errorf("%w: %w", ErrNoSum, err)
	}
	return sum, program, nil
}

// ended reports whether nothing can be asked any more.
func (c *Conn) ended(ctx context.Context) bool { return c.gone() != nil || ctx.Err() != nil }

// sumOnce runs a command for one file, and returns what it prints.
func (c *Conn) sumOnce(ctx context.Context, command string) (string, error) {
	s, err := c.exec(ctx, command)
	if err != nil {
		return "", err
	}
	defer s.finish(ctx)
	return leave(ctx, c, nil, func() (string, error) {
		s.ch.CloseWrite() //nolint:errcheck // a lost channel gives no output
		b, err := io.ReadAll(io.LimitReader(s.ch, maxSumOutput))
		return string(b), err
	}, nil)
}

// sumArg is what a shell of Unix opens for a path.
func sumArg(path string) (string, error) {
	arg, _, err := scp.Target(path)
	if err == nil && strings.HasPrefix(arg, "-") {
		arg = "./" + arg
	}
	return arg, err
}

// sumOf is what a shell of Unix does with one word, a file: it prints the size and,
// behind the name of the program, the SHA-256.
func sumOf(file string) string {
	// The first program that is there does it. BSD's sha256 reads its standard
	// input, too.
	var tries []string
	for _, program := range []string{"sha256sum", "shasum -a 256", "sha256", "openssl dgst -sha256"} {
		name, _, _ := strings.Cut(program, " ")
		tries = append(tries, fmt.Sprintf("{ command -v %s >/dev/null 2>&1 && echo %s && %s < %s; }", name, name, program, file))
	}
	return fmt.Sprintf("wc -c < %s && { %s; }", file, strings.Join(tries, " || "))
}

// errOtherSize says that a shell sees another file, or the same one later.
var errOtherSize = errors.New("its shell sees a file of another size")

// parseSum reads what the command printed.
func parseSum(text string, size int64) (sum, program string, err error) {
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	if err != nil {
		return "", "", fmt.Errorf("it prints %q", oneLine(text))
	}
	if n != size {
		return "", "", fmt.Errorf("%w there: %d bytes, and not %d", errOtherSize, n, size)
	}
	program, rest, _ = strings.Cut(strings.TrimSpace(rest), "\n")
	program = oneLine(program)
	if sum = sumForm().FindString(rest); program == certutil {
		sum = certutilSum(rest, n)
	}
	if sum == "" {
		return "", "", fmt.Errorf("it prints %q", oneLine(text))
	}
	return strings.ToLower(sum), program, nil
}
