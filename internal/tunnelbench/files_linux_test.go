package tunnelbench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"linehaul/internal/bench"
	"linehaul/internal/lab/gateway"
)

// files are what linehaul's program moves to and from the SSH server.
type files struct {
	r       *runner
	program string
	config  string
	source  string
	size    int64
	sum     [sha256.Size]byte
}

// files makes the program, its config and a file of random bytes.
func (r *runner) files(size int64) *files {
	r.t.Helper()
	f := &files{r: r, size: size, program: bench.Build(r.t, r.g.Dir), config: filepath.Join(r.g.Home, "linehaul.yaml"), source: filepath.Join(r.g.Dir, "file")}
	text := fmt.Sprintf(`state: %q
links:
  lab:
    ipsec:
      gateway: %s
      local: {id: %s, psk: env:LAB_PSK}
      remote: {id: %s}
      networks: [%s]
      ike: [%s]
      esp: [%s]
hosts:
  through: {address: %[8]s, user: %[9]s, keys: %[10]q, host_keys: %[11]q, link: lab}
  plain: {address: %[8]s, user: %[9]s, keys: %[10]q, host_keys: %[11]q}
`, filepath.Join(r.g.Home, "state"), gateway.Gate, gateway.RoadID, gateway.GateID, gateway.LanNet, r.proposals[0], r.proposals[1],
		gateway.Lan, r.g.SSH.User, r.g.Key, r.g.SSH.Fingerprint())
	err := os.WriteFile(f.config, []byte(text), 0o644)
	if err == nil {
		err = os.Chmod(f.program, 0o755)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	var content bytes.Buffer
	if err := give(&content, size); err != nil {
		r.t.Fatal(err)
	}
	f.sum = sha256.Sum256(content.Bytes())
	if err := os.WriteFile(f.source, content.Bytes(), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// move moves the file once, and looks whether it arrived whole.
func (f *files) move(put bool, host string) bench.Transfer {
	target := filepath.Join(f.r.g.Home, "target")
	args := []string{"-c", f.config, "get", host + ":" + f.source, target}
	if put {
		args = []string{"-c", f.config, "put", f.source, host + ":" + target}
	}
	defer os.Remove(target)
	ctx, cancel := context.WithTimeout(f.r.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.program, args...)
	cmd.Env, cmd.Dir = append(os.Environ(), "LAB_PSK="+gateway.PSK), f.r.g.Home
	began := time.Now()
	out, err := f.r.g.RoadUser(cmd).CombinedOutput()
	x := bench.Transfer{Wall: time.Since(began)}
	if err != nil {
		x.Err = fmt.Errorf("%q: %w\n%s", args, err, out)
		return x
	}
	x.ClientCPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	x.Err = f.check(target)
	return x
}

func (f *files) check(target string) error {
	r, err := os.Open(target)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), f.sum[:]) {
		return errors.New("another content arrived")
	}
	return nil
}
