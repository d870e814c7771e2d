package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"regexp"
	"strings"
	"sync/atomic"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// Verify says how a copy is held against its source before it gets its name.
type Verify string

// The ways, as the config spells them.
const (
	// VerifySize compares size and modification time.
	VerifySize Verify = "size"
	// VerifyAuto compares the SHA-256 too, where the server can say it, or a
	// file beside the source does.
	VerifyAuto Verify = "auto"
	// VerifySHA256 is a failure where that cannot be done.
	VerifySHA256 Verify = "sha256"
)

// autoSize is the size from which on VerifyAuto asks the server: to ask takes
// several round trips, and a small file came in one request that the transport
// protected.
const autoSize = 1 << 20

// maxSidecar bounds the file beside a source that says its SHA-256, in bytes.
const maxSidecar = 4 << 10

// A verifier asks the server of one connection. Its check may be called
// concurrently.
type verifier struct {
	how   Verify
	conn  *remote.Conn
	files transfer.Remote
	get   bool
	log   *slog.Logger

	noExtension atomic.Bool // SFTP cannot say it
	commands    atomic.Bool // a command has said it
	mute        atomic.Bool // no command can
	told        atomic.Bool // the log says why there is no sum
}

// check is a transfer.VerifyFunc.
func (v *verifier) check(ctx context.Context, path string, size int64, sum string) (string, error) {
	if v.how == VerifyAuto && size < autoSize {
		return "", nil
	}
	said, by, err := v.ask(ctx, path, size)
	switch {
	case err != nil && ctx.Err() != nil, err != nil && !errors.Is(err, remote.ErrNoSum):
		return "", err
	case err != nil && v.how == VerifySHA256:
		return "", fault.New(fault.Verify, "the SHA-256 of %q cannot be compared: %w", path, err).
			WithHint("give the server one of sha256sum, shasum, sha256 or openssl, and a shell (or SFTP with the check-file extension), or put the sum into %q; or set `verify: auto`", path+".sha256")
	case err != nil:
		v.tell(path, err)
		return "", nil // VerifyAuto goes as far as the server lets it
	case said != sum:
		return "", fault.New(fault.Verify, "%q has the SHA-256 %s by %s, and the copy has %s", path, said, by, sum).
			WithHint("the source was left alone; something between the two disks changes data: check both machines' memory and disks")
	}
	return "sha256 by " + by, nil
}

// ask returns what the server says: by an extension of SFTP, by one of its
// programs, or by the file beside a source.
func (v *verifier) ask(ctx context.Context, path string, size int64) (sum, by string, err error) {
	if s, ok := v.files.(remote.Summer); ok && !v.noExtension.Load() {
		sum, by, err = s.Sum(ctx, path)
		if err == nil || !errors.Is(err, remote.ErrNoSum) {
			return sum, by, err
		}
		v.noExtension.Store(true)
	}
	if !v.mute.Load() {
		sum, by, err = v.conn.Sum(ctx, path, size)
		if err == nil {
			v.commands.Store(true)
		}
		if err == nil || !errors.Is(err, remote.ErrNoSum) {
			return sum, by, err
		}
		// What kept one command back, such as a limit that others have reached,
		// may be gone for the next.
		if !errors.Is(err, remote.ErrNoSumOfFile) && !v.commands.Load() {
			v.mute.Store(true)
		}
	}
	if v.get {
		if sum, ok := v.sidecar(ctx, path+".sha256"); ok {
			return sum, "a file beside it", nil
		}
	}
	if err == nil {
		err = remote.ErrNoSum
	}
	return "", "", err
}

// tell has the log say why sizes are all that is compared: of each file that a
// server which sums up others does not, and else once.
func (v *verifier) tell(file string, err error) {
	switch {
	case !v.mute.Load():
		v.log.Info("only the size is compared", logs.Name, path.Base(file), logs.Error, err.Error())
	case v.told.CompareAndSwap(false, true):
		v.log.Info("only sizes are compared", logs.Error, err.Error())
	}
}

// sidecar reads a file as sha256sum writes it.
func (v *verifier) sidecar(ctx context.Context, path string) (string, bool) {
	r, err := v.files.Open(ctx, path)
	if err != nil {
		return "", false
	}
	defer r.Close()
	text := make([]byte, maxSidecar)
	n, _ := r.Read(text)
	sum := regexp.MustCompile(`(?i)\b[0-9a-f]{64}\b`).FindString(string(text[:n]))
	return strings.ToLower(sum), sum != ""
}

// sums reports whether copies are held against their sources by their SHA-256.
func (j *Job) sums() bool { return j.Verify == VerifyAuto || j.Verify == VerifySHA256 }

// ParseVerify reads one of the three words.
func ParseVerify(s string) (Verify, error) {
	switch v := Verify(s); v {
	case VerifySize, VerifyAuto, VerifySHA256:
		return v, nil
	default:
		return "", fmt.Errorf("%q: want size, auto or sha256", s)
	}
}
