//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// plinkCaches lets the real plink log in to a site as somebody who says yes to
// the server's key, with a home of its own, and returns that home.
func plinkCaches(t *testing.T, s *site, host string) string {
	t.Helper()
	lab.Need(t, "plink", "puttygen")
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".putty"), 0o700); err != nil {
		t.Fatal(err)
	}
	ppk := filepath.Join(home, "id.ppk")
	lab.Run(t, "puttygen", s.key, "-O", "private", "-o", ppk)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, lab.Path("plink"), "-ssh", "-noagent", "-no-antispoof", "-i", ppk,
		"-P", fmt.Sprint(s.Port), "-l", s.User, host, "true")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	cmd.Stdin = strings.NewReader("y\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("plink: %v\n%s\n%s", err, out, s.Log())
	}
	return home
}

// TestImportPuTTY: the real plink caches a server's key, of each type that
// OpenSSH has, `hosts import` makes it known, and linehaul logs in by that.
func TestImportPuTTY(t *testing.T) {
	lab.Need(t, "plink")
	program(t) // go builds it below the real HOME
	tests := []struct {
		keyType, bits string
		algorithms    string
		host          string
		flags         []string
	}{
		{"ed25519", "256", "ssh-ed25519", "127.0.0.1", nil},
		{"ed25519", "256", "ssh-ed25519", "LOCALHOST", nil},
		{"ed25519", "256", "ssh-ed25519", "::1", nil},
		{"rsa", "2048", "rsa-sha2-512,rsa-sha2-256", "127.0.0.1", nil},
		{"ecdsa", "256", "ecdsa-sha2-nistp256", "127.0.0.1", nil},
		{"ecdsa", "384", "ecdsa-sha2-nistp384", "127.0.0.1", nil},
		{"ecdsa", "521", "ecdsa-sha2-nistp521", "127.0.0.1", nil},
		{"dsa", "1024", "ssh-dss", "127.0.0.1", []string{"--legacy", "ssh-dss"}},
	}
	for _, tt := range tests {
		t.Run(tt.keyType+tt.bits+" "+tt.host, func(t *testing.T) {
			config := "HostKeyAlgorithms " + tt.algorithms + "\n"
			if strings.Contains(tt.host, ":") {
				l, err := net.Listen("tcp6", "[::1]:0")
				if err != nil {
					lab.Missing(t, "there is no IPv6 on loopback")
				}
				l.Close()
				config += "ListenAddress ::1\n"
			}
			dir := t.TempDir()
			hostKey := lab.Keygen(t, filepath.Join(dir, "hk"), tt.keyType, "-b", tt.bits)
			s := newSite(t, lab.SSHD{HostKeys: []string{"ecdsa"}, Config: "HostKey " + hostKey + "\n" + config})
			s.write(t, "file", []byte("pulled\n"))
			t.Setenv("HOME", plinkCaches(t, s, tt.host))
			for _, name := range []string{"PUTTYDIR", "PUTTYSSHHOSTKEYS", "XDG_CONFIG_HOME"} {
				t.Setenv(name, "")
			}

			url := "sftp://" + s.User + "@" + net.JoinHostPort(tt.host, fmt.Sprint(s.Port)) + s.remote + "/file"
			get := func() outcome {
				args := append([]string{"get", "-i", s.key}, tt.flags...)
				return linehaul(t, 30*time.Second, append(args, url, dir+"/got")...)
			}
			if o := get(); o.code != 5 || !strings.Contains(o.stderr, "is not known") {
				t.Fatalf("before the import: %s", o)
			}
			o := linehaul(t, 30*time.Second, "hosts", "import")
			if o.code != 0 || !strings.Contains(o.stdout, lab.Fingerprint(t, hostKey+".pub")) || !strings.Contains(o.stderr, "1 added to ") {
				t.Fatalf("the import: %s", o)
			}
			if o := get(); o.code != 0 {
				t.Fatalf("after the import: %s", o)
			}
			if b, err := os.ReadFile(dir + "/got"); err != nil || string(b) != "pulled\n" {
				t.Errorf("pulled %q, %v", b, err)
			}
			known := filepath.Join(os.Getenv("HOME"), ".ssh", "known_hosts")
			lab.Run(t, "ssh-keygen", "-F", fmt.Sprintf("[%s]:%d", strings.ToLower(tt.host), s.Port), "-f", known) // OpenSSH finds it too
		})
	}
}

// TestImportConflict: exit code 5 for a key that known_hosts contradicts, which
// stays as it is, while the others are added; so too for a revoked one.
func TestImportConflict(t *testing.T) {
	keyOf := func(file string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", "keys", file))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b))[:2], " ")
	}
	for _, tt := range []struct{ name, line, want string }{
		{"another key", "[127.0.0.1]:23401 " + keyOf("testdata/ed25519.pub"), "conflict: 127.0.0.1 port 23401: PuTTY has ssh-ed25519 "},
		{"a revoked key", "@revoked [127.0.0.1]:23401 " + keyOf("puttyhosts/testdata/public_keys"), "revoked: 127.0.0.1 port 23401: PuTTY has ssh-ed25519 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(known, []byte(tt.line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"hosts", "import", "--from", filepath.Join("..", "..", "keys", "puttyhosts", "testdata", "sshhostkeys"), "--known-hosts", known}
			o := linehaul(t, 30*time.Second, args...)
			if o.code != 5 || !strings.Contains(o.stdout, tt.want) || strings.Contains(o.stdout, "]:23401 ssh-ed25519 ") || !strings.Contains(o.stderr, "1 in conflict") {
				t.Errorf("%s", o)
			}
			text, err := os.ReadFile(known)
			if err != nil || !strings.HasPrefix(string(text), tt.line+"\n") || strings.Count(string(text), "]:23401 ") != 1 || !strings.Contains(string(text), "]:23402 ssh-rsa ") {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// TestScanPuTTY: `hosts scan` says what PuTTY on this machine knows of a key.
func TestScanPuTTY(t *testing.T) {
	program(t)
	s := newSite(t, lab.SSHD{HostKeys: []string{"ed25519"}})
	other := newSite(t, lab.SSHD{HostKeys: []string{"ed25519"}})
	home := plinkCaches(t, s, s.Host)
	t.Setenv("HOME", home)
	for _, name := range []string{"PUTTYDIR", "PUTTYSSHHOSTKEYS", "XDG_CONFIG_HOME"} {
		t.Setenv(name, "")
	}
	scan := func(s *site, flags ...string) outcome {
		return linehaul(t, 30*time.Second, append([]string{"hosts", "scan", s.Addr}, flags...)...)
	}
	if o := scan(s); !strings.Contains(o.stdout, "PuTTY on this machine knows this key") {
		t.Errorf("the key that is cached: %s", o)
	}
	if o := scan(s, "--json"); !strings.Contains(o.stdout, `"putty": "same"`) {
		t.Errorf("the key that is cached: %s", o)
	}
	if o := scan(other); o.code != 0 || strings.Contains(o.stdout, "PuTTY") {
		t.Errorf("a server that PuTTY never met: %s", o)
	}
	// The same cache as of the other server.
	file := filepath.Join(home, ".putty", "sshhostkeys")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.ReplaceAll(string(text), fmt.Sprintf("@%d:", s.Port), fmt.Sprintf("@%d:", other.Port))
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := scan(other); o.code != 0 || !strings.Contains(o.stdout, "PuTTY on this machine knows ANOTHER key") {
		t.Errorf("another key is cached: %s", o)
	}
	if o := scan(other, "--json"); !strings.Contains(o.stdout, `"putty": "other"`) {
		t.Errorf("another key is cached: %s", o)
	}
}
