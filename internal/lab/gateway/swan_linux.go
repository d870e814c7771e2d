package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// A Swan is a strongSwan: charon, without any of the machine's configuration,
// and swanctl to tell it things.
type Swan struct {
	t     testing.TB
	host  *Host
	dir   string
	where whereabouts
	conf  string // what was loaded last
	p     *lab.Process
}

// plugins of charon: all that peers in the field may ask for. openssl is asked
// for its legacy ciphers too.
const plugins = "random nonce aesni aes sha1 sha2 md5 hmac openssl gcrypt gcm ccm ctr cmac xcbc chapoly curve25519 kdf drbg mgf1 fips-prf " +
	"pem pkcs1 pkcs7 pkcs8 pkcs12 pubkey x509 revocation constraints gmp kernel-libipsec kernel-netlink socket-default vici updown " +
	"eap-identity eap-md5 eap-mschapv2 eap-gtc eap-tls eap-ttls xauth-generic xauth-eap unity counters"

// strongswanConf is strongswan.conf. The log holds every key (ike 4, chd 4),
// from which Tshark decrypts what was on the line.
const strongswanConf = `charon-systemd {
  load_modular = no
  load = %[2]s
  install_virtual_ip = yes
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  retransmit_timeout = 1.0
  retransmit_tries = 4
  retransmit_base = 1.4
  half_open_timeout = 10
  cert_cache = no
  %[3]s
  plugins {
    vici {
      socket = %[1]s
    }
    openssl {
      load_legacy = yes
    }
    eap-tls {
      include_length = yes
    }
    kernel-libipsec {
      allow_peer_ts = yes
    }
  }
  filelog {
    log {
      path = %[4]s/log
      time_format = %%s
      flush_line = yes
      append = yes
      default = 1
      ike = 4
      chd = 4
      cfg = 2
      knl = 2
    }
  }
}
swanctl {
  load = random nonce openssl pem pkcs1 pkcs8 pkcs12 x509 pubkey
}
`

// whereabouts say which strongSwan it is.
type whereabouts struct {
	root   string // a folder with a whole system in it, of which it is taken; empty: the machine's own
	kernel bool   // ESP is a kernel's, in user mode, and not strongSwan's own
}

// startSwan starts a strongSwan on a host. More is put into strongswan.conf.
func startSwan(t testing.TB, host *Host, dir string, where whereabouts, more string) *Swan {
	t.Helper()
	s := &Swan{t: t, host: host, dir: filepath.Join(dir, host.Name()), where: where}
	// swanctl complains of each folder that it expects and does not find.
	folders := "x509 x509ca x509ocsp x509aa x509ac x509crl pubkey private rsa ecdsa bliss pkcs8 pkcs12 conf.d ../bin"
	for _, sub := range strings.Fields(folders) {
		if err := os.MkdirAll(filepath.Join(s.dir, "swanctl", sub), 0o755); err != nil { //nolint:gosec // the folder of a test
			t.Fatal(err)
		}
	}
	load := plugins
	if where.kernel {
		load = strings.Replace(load, "kernel-libipsec ", "", 1)
	}
	writeFile(t, filepath.Join(s.dir, "strongswan.conf"), fmt.Sprintf(strongswanConf, s.uri("0.0.0.0"), load, more, s.dir))
	// AppArmor binds charon and swanctl to the machine's configuration by
	// their paths, where a distribution says so: copies are free of it.
	for _, program := range []string{"charon-systemd", "swanctl"} {
		from := filepath.Join(where.root, "usr/sbin", program)
		if where.root == "" {
			from = lab.Path(program)
		}
		copyFile(t, from, s.program(program))
	}
	s.start()
	return s
}

func (s *Swan) program(name string) string { return filepath.Join(s.dir, "bin", name) }

// command is the command line of a program of it. One with a root of its own
// sees that as its system, with our folders in it, and nobody else does.
func (s *Swan) command(program string) []string {
	if s.where.root == "" {
		return []string{s.program(program)}
	}
	const enter = `set -e; root=$1 dir=$2; shift 2
mount --rbind /dev "$root/dev"; mount --rbind /proc "$root/proc"
mount -t tmpfs none "$root/tmp"; mkdir -p "$root$dir"; mount --bind "$dir" "$root$dir"
exec chroot "$root" "$@"`
	return []string{lab.Path("unshare"), "-m", lab.Path("sh"), "-c", enter, "enter", s.where.root, filepath.Dir(s.dir), s.program(program)}
}

func (s *Swan) env() []string {
	return []string{"STRONGSWAN_CONF=" + filepath.Join(s.dir, "strongswan.conf"), "SWANCTL_DIR=" + filepath.Join(s.dir, "swanctl")}
}

// uri is where charon takes commands, for one who is at an address.
func (s *Swan) uri(at string) string {
	if s.where.kernel {
		return strings.Replace(kernelVici, kernelHost, at, 1)
	}
	return "unix://" + filepath.Join(s.dir, "vici")
}

// answers reports whether charon takes commands.
func (s *Swan) answers() error {
	network, address, _ := strings.Cut(s.uri(kernelHost), "://")
	return s.host.Do(func() error {
		conn, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// start starts charon and waits until it takes commands.
func (s *Swan) start() {
	s.t.Helper()
	os.Remove(filepath.Join(s.dir, "vici"))
	line := s.command("charon-systemd")
	if s.where.kernel {
		line = s.guest()
	}
	in := append(s.host.Within(), line...)
	s.p = lab.Start(s.t, filepath.Join(s.dir, "out"), s.env(), in[0], in[1:]...)
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.answers()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("strongSwan on %s does not answer: %v\n%s\n%s", s.host.Name(), err, s.p.Log(), s.Log())
		}
	}
}

// Swanctl runs a command of swanctl and returns what it printed.
func (s *Swan) Swanctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	line := slices.Concat(s.command("swanctl"), args, []string{"--uri", s.uri(kernelHost)})
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), s.env()...)
	out, err := s.host.Command(cmd).CombinedOutput()
	return string(out), err
}

// Reload gives strongSwan the text of a swanctl.conf in place of what it had.
// What is established stays.
func (s *Swan) Reload(conf string) {
	s.t.Helper()
	s.conf = conf
	writeFile(s.t, filepath.Join(s.dir, "swanctl", "swanctl.conf"), conf)
	if out, err := s.Swanctl("--load-all", "--clear", "--noprompt"); err != nil {
		s.t.Fatalf("strongSwan on %s does not take its configuration: %v\n%s\n%s", s.host.Name(), err, out, conf)
	}
}

// Initiate sets the child "net" up, as the initiator.
func (s *Swan) Initiate() error {
	if out, err := s.Swanctl("--initiate", "--child", "net", "--timeout", "15"); err != nil {
		return errors.New(out)
	}
	return nil
}

// Terminate ends all SAs, by telling the peer if it answers.
func (s *Swan) Terminate() {
	s.Swanctl("--terminate", "--ike", "c", "--force", "--timeout", "3")
}

// SAs is what swanctl says of the SAs that are up; empty if there are none.
func (s *Swan) SAs() string {
	s.t.Helper()
	out, err := s.Swanctl("--list-sas")
	if err != nil {
		s.t.Fatalf("swanctl on %s: %v\n%s", s.host.Name(), err, out)
	}
	return out
}

// Used is the CPU time that charon has used so far.
func (s *Swan) Used() time.Duration { return s.p.Used() }

// Log is charon's log so far, over all its lives. It holds keys.
func (s *Swan) Log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

// Kill ends charon as a crash would: the peer hears nothing.
func (s *Swan) Kill() { s.p.Kill() }

// Stop ends charon as an operator would: it tells its peers first.
func (s *Swan) Stop() {
	s.p.SignalChildren(syscall.SIGTERM)
	s.p.Wait(15 * time.Second)
}

// Restart kills charon and starts it again, with what was loaded last.
func (s *Swan) Restart() {
	s.t.Helper()
	s.Kill()
	s.start()
	if s.conf != "" {
		s.Reload(s.conf)
	}
}
