package remote_test

import (
	"net"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// TestScan: every key that the server has is shown, with no login.
func TestScan(t *testing.T) {
	startsOthers(t)
	s := lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"rsa", "ed25519"}})
	h := hostAt(s.Addr)
	found, err := remote.Scan(t.Context(), &net.Dialer{}, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range found {
		got = append(got, ssh.FingerprintSHA256(k))
	}
	want := []string{s.Fingerprint("rsa"), s.Fingerprint("ed25519")}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if found, err := remote.Scan(t.Context(), &net.Dialer{}, hostAt(l.Addr().String()), nil); err == nil || len(found) > 0 {
		t.Errorf("nobody listens, and there are %d keys, %v", len(found), err)
	}
}
