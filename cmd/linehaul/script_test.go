//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"linehaul/internal/lab"
	"linehaul/store/db"
)

// TestScripts runs the user stories of testdata/script against real OpenSSH
// servers. Each script has a folder of its own on the server, $REMOTE.
//
// Besides testscript's own commands there are:
//
//	expand FILE...        replace $NAME in files by the environment
//	mtime FILE RFC3339    check a modification time
//	dated GLOB            check that exactly one file matches, and set $FOUND
//	capture NAME REGEXP   set $NAME to what the first group matches in what was printed
//	sql STATEMENT         change the record behind linehaul's back, with RUN for $RUN
//	restore               put the state folder back as it is in the folder "good"
func TestScripts(t *testing.T) {
	full := newSite(t, lab.SSHD{})
	scpOnly := newSite(t, lab.SSHD{NoSFTP: true})
	certified := newCertSite(t)
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(full.KnownHosts()+scpOnly.KnownHosts()+certified.KnownHosts()), 0o644); err != nil {
		t.Fatal(err)
	}
	_, hostKey, _ := strings.Cut(strings.TrimSpace(full.KnownHosts("ed25519")), " ")
	holder := agentWith(t, full.key, certified.key)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			name := filepath.Base(e.WorkDir)
			remote := filepath.Join(full.remote, name)
			if err := os.Mkdir(remote, 0o777); err != nil {
				return err
			}
			if err := os.Chmod(remote, 0o777); err != nil {
				return err
			}
			full.Own(remote)
			e.Vars = append(e.Vars,
				"HOST="+full.Host, fmt.Sprintf("PORT=%d", full.Port), fmt.Sprintf("SCPPORT=%d", scpOnly.Port),
				"USER="+full.User, "KEY="+full.key, "SCPKEY="+scpOnly.key, "PIN="+full.Fingerprint(), "KNOWN="+known,
				"REMOTE="+remote, "AT="+full.at(remote),
				"LOGIN=-i "+full.key, "HOME="+e.WorkDir, "SSH_AUTH_SOCK=", "HOSTKEY="+hostKey,
				fmt.Sprintf("CERTPORT=%d", certified.Port), "CERTKEY="+certified.key, "CERTREMOTE="+certified.remote,
				"CERTAT="+certified.at(certified.remote), "CERT="+certified.cert, "OLDCERT="+certified.old, "OTHERCERT="+certified.other,
				"CERTAGENT="+holder, "STORY="+name,
			)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"expand": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, f := range args {
					text := os.Expand(ts.ReadFile(f), ts.Getenv)
					ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o644))
				}
			},
			"mtime": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := time.Parse(time.RFC3339, args[1])
				ts.Check(err)
				info, err := os.Stat(ts.MkAbs(args[0]))
				ts.Check(err)
				if !info.ModTime().Equal(want) {
					ts.Fatalf("%s has the time %v, want %v", args[0], info.ModTime().UTC(), want)
				}
			},
			"dated": func(ts *testscript.TestScript, _ bool, args []string) {
				found, err := filepath.Glob(ts.MkAbs(args[0]))
				ts.Check(err)
				if len(found) != 1 {
					ts.Fatalf("%s matches %q, want one file", args[0], found)
				}
				ts.Setenv("FOUND", found[0])
			},
			"capture": func(ts *testscript.TestScript, _ bool, args []string) {
				m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
				if len(m) < 2 {
					ts.Fatalf("%q is not in what was printed", args[1])
				}
				ts.Setenv(args[0], m[1])
			},
			"sql": func(ts *testscript.TestScript, _ bool, args []string) {
				d, err := db.Open(t.Context(), db.Place{Dir: ts.MkAbs("state"), Now: time.Now})
				ts.Check(err)
				defer d.Close()
				if n, err := d.Exec(t.Context(), strings.ReplaceAll(args[0], "RUN", ts.Getenv("RUN"))); err != nil || n != 1 {
					ts.Fatalf("%d rows changed, %v", n, err)
				}
			},
			"restore": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(os.RemoveAll(ts.MkAbs("state")))
				ts.Check(os.CopyFS(ts.MkAbs("state"), os.DirFS(ts.MkAbs("good"))))
			},
		},
	})
}

// A certSite is a server that takes nothing but certificates.
type certSite struct {
	*site
	// Certificates for its key, in a folder of their own: one that is good, one
	// that is over, and one for another user.
	cert, old, other string
}

func newCertSite(t *testing.T) *certSite {
	t.Helper()
	lab.Need(t, "sshd", "ssh-keygen")
	authority := lab.Keygen(t, filepath.Join(t.TempDir(), "ca"), "ed25519")
	s := &certSite{site: newSite(t, lab.SSHD{Config: "TrustedUserCAKeys " + authority + ".pub\nAuthorizedKeysFile none"})}
	public, err := os.ReadFile(s.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	sign := func(user, valid string) string {
		file := filepath.Join(t.TempDir(), "signed")
		if err := os.WriteFile(file+".pub", public, 0o644); err != nil {
			t.Fatal(err)
		}
		lab.Run(t, "ssh-keygen", "-q", "-s", authority, "-I", "story", "-n", user, "-V", valid, file+".pub")
		return file + "-cert.pub"
	}
	s.cert, s.old, s.other = sign(s.User, "-1h:+1h"), sign(s.User, "20200101:20200102"), sign("somebody-else", "-1h:+1h")
	return s
}

// agentWith runs an agent that holds the keys, and returns its socket.
func agentWith(t *testing.T, keys ...string) string {
	t.Helper()
	lab.Need(t, "ssh-agent", "ssh-add")
	socket := filepath.Join(t.TempDir(), "agent")
	p := lab.Start(t, filepath.Join(t.TempDir(), "agent.log"), nil, "ssh-agent", "-D", "-a", socket)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ssh-agent does not listen: %s", p.Log())
		}
	}
	for _, k := range keys {
		lab.Run(t, "env", "SSH_AUTH_SOCK="+socket, "ssh-add", "-q", k)
	}
	return socket
}

// storyNames are file names that people and servers really have.
func storyNames() []string {
	return []string{
		"plain.txt", "with space.txt", `quote"double.txt`, "it's.txt", "back`tick$(id).txt", "ünïcødé-日本.txt",
		"-dash.txt", "semi;colon&amp.txt", "star*.txt", "tab\there.txt", `back\slash.txt`,
	}
}

// TestNames pulls and pushes names that shells and protocols trip over, and
// a folder tree, by both protocols. SCP cannot carry a newline; SFTP can.
func TestNames(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	when := time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, protocol := range []string{"sftp", "scp"} {
		names := storyNames()
		if protocol == "sftp" {
			names = append(names, "new\nline.txt")
		}
		local := t.TempDir()
		for _, dir := range []string{"tree", "tree/sub folder", "tree/empty"} {
			if err := os.Mkdir(filepath.Join(local, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for i, n := range names {
			for _, dir := range []string{"tree", "tree/sub folder"} {
				f := filepath.Join(local, dir, n)
				if err := os.WriteFile(f, []byte(strings.Repeat(n, i+1)), 0o640); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(f, when, when); err != nil {
					t.Fatal(err)
				}
			}
		}
		flags := append([]string{"-r", "--protocol", protocol}, s.flags()...)
		t.Run("put "+protocol, func(t *testing.T) {
			args := append(append([]string{"put"}, flags...), filepath.Join(local, "tree"), s.at(s.remote+"/"+protocol+"/"))
			if o := linehaul(t, time.Minute, args...); o.code != 0 {
				t.Fatal(o)
			}
			sameTree(t, filepath.Join(local, "tree"), filepath.Join(s.remote, protocol, "tree"))
		})
		t.Run("get "+protocol, func(t *testing.T) {
			back := t.TempDir()
			args := append(append([]string{"get"}, flags...), s.at(s.remote+"/"+protocol+"/tree"), back+"/")
			if o := linehaul(t, time.Minute, args...); o.code != 0 {
				t.Fatal(o)
			}
			sameTree(t, filepath.Join(local, "tree"), filepath.Join(back, "tree"))
		})
		t.Run("wildcard "+protocol, func(t *testing.T) {
			back := t.TempDir()
			args := append(append([]string{"get"}, flags...), s.at(s.remote+"/"+protocol+"/tree/*t*.txt"), back+"/{stem}-copy{ext}")
			if o := linehaul(t, time.Minute, args...); o.code != 0 {
				t.Fatal(o)
			}
			for _, n := range names {
				_, err := os.Stat(filepath.Join(back, strings.TrimSuffix(n, ".txt")+"-copy.txt"))
				if matches := strings.Contains(strings.TrimSuffix(n, ".txt"), "t"); matches != (err == nil) {
					t.Errorf("%q matches: %v, pulled: %v", n, matches, err)
				}
			}
		})
	}
}

// sameTree checks that two folders hold the same names, contents and times.
func sameTree(t *testing.T, want, got string) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(want, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		count++
		rel, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		other := filepath.Join(got, rel)
		info, err := os.Stat(other)
		if err != nil {
			t.Errorf("%q: %v", rel, err)
			return nil
		}
		if d.IsDir() {
			return nil
		}
		a, errA := os.ReadFile(path)
		b, errB := os.ReadFile(other)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%q differs: %v, %v", rel, errA, errB)
		}
		orig, err := d.Info()
		if err == nil && !info.ModTime().Equal(orig.ModTime()) {
			t.Errorf("%q has the time %v, want %v", rel, info.ModTime(), orig.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if extra := len(entries(t, got)); extra != count-1 {
		t.Errorf("%d entries arrived, want %d", extra, count-1)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
