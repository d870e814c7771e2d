package remote_test

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/transfer/remote"
)

// oldServer is an OpenSSH that takes nothing that is newer than DSA.
const oldServer = `HostKeyAlgorithms ssh-dss,ssh-rsa
PubkeyAcceptedAlgorithms ssh-dss,ssh-rsa
KexAlgorithms diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1
Ciphers 3des-cbc,aes128-cbc
MACs hmac-sha1,hmac-sha1-96
RequiredRSASize 1024`

// oldAlgorithms are what a host's `legacy:` names for it.
func oldAlgorithms() []string {
	return []string{"ssh-rsa", "ssh-dss", "diffie-hellman-group1-sha1", "3des-cbc", "hmac-sha1"}
}

// A matrixKey is one type of key.
type matrixKey struct {
	name    string
	file    string // as ssh-keygen wrote it; the public half is in file + ".pub"
	private *keys.PrivateKey
	legacy  []string
}

// matrixKeys makes a key of every type.
func matrixKeys(t *testing.T, dir string) []matrixKey {
	t.Helper()
	var all []matrixKey
	for _, k := range []struct {
		name, keyType string
		args          []string
		legacy        []string
	}{
		{"ed25519", "ed25519", nil, nil},
		{"ecdsa256", "ecdsa", []string{"-b", "256"}, nil},
		{"ecdsa384", "ecdsa", []string{"-b", "384"}, nil},
		{"ecdsa521", "ecdsa", []string{"-b", "521"}, nil},
		{"rsa2048", "rsa", []string{"-b", "2048"}, nil},
		{"dsa", "dsa", nil, []string{"ssh-dss"}},
	} {
		file := lab.Keygen(t, filepath.Join(dir, k.name), k.keyType, k.args...)
		private, err := keys.ParsePrivate(readAll(t, file), nil)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		all = append(all, matrixKey{k.name, file, private, k.legacy})
	}
	return all
}

func readAll(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writePrivate(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// written writes the key in a format into a folder of its own.
func (k *matrixKey) written(t *testing.T, f keys.Format, phrase string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "id")
	if f == keys.OpenSSH && phrase != "" {
		// By the tool itself, with fewer rounds than we would take.
		writePrivate(t, file, readAll(t, k.file))
		lab.Run(t, "ssh-keygen", "-q", "-p", "-a", "4", "-P", "", "-N", phrase, "-f", file)
		return file
	}
	text, err := keys.Marshal(k.private, f, []byte(phrase), rand.Reader)
	if err != nil {
		t.Fatalf("%s as %s: %v", k.name, f, err)
	}
	return writePrivate(t, file, text)
}

// forms are the formats that have a place for the key.
func (k *matrixKey) forms() []keys.Format {
	all := []keys.Format{keys.OpenSSH, keys.PEM, keys.PKCS8, keys.PPK2, keys.PPK3}
	if k.name == "ed25519" {
		all = slices.Delete(all, 1, 2) // there is no such form
	}
	return all
}

// A matrixColumn is a server, with the host keys that it is known by.
type matrixColumn struct {
	name   string
	server *lab.Server
	takes  string // key types, by the beginnings of their names
	legacy []string
	known  *keys.HostKeys
}

// takesKey reports whether the server takes the type at all.
func (c *matrixColumn) takesKey(k *matrixKey) bool {
	return strings.Contains(" "+c.takes, " "+k.name[:2])
}

// A matrixRow is a way to have one key.
type matrixRow struct {
	key    *matrixKey
	by     string
	file   string
	socket string
	phrase string
	never  bool // every server must refuse it
	// tries says which servers it is tried at; nil: at all.
	tries func(*matrixColumn) bool
}

// matrixWorkers is how many logins run at a time: fewer than dropbear lets one
// address begin.
const matrixWorkers = 4

// runMatrix logs in from each row to each column, prints the table, and holds
// each cell against what must be. A cell that is ok has logged in with the
// row's own key.
func runMatrix(t *testing.T, columns []matrixColumn, rows []matrixRow) {
	t.Helper()
	for i := range columns {
		c := &columns[i]
		file := writePrivate(t, filepath.Join(t.TempDir(), "known_hosts"), []byte(c.server.KnownHosts()))
		var err error
		c.known, err = keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file, Required: true}}, Legacy: c.legacy})
		if err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	cells := make([][]string, len(rows))
	free := make(chan struct{}, matrixWorkers)
	var running sync.WaitGroup
	for i := range rows {
		cells[i] = make([]string, len(columns))
		for j := range columns {
			free <- struct{}{}
			running.Go(func() {
				defer func() { <-free }()
				cells[i][j] = cell(t, &rows[i], &columns[j])
			})
		}
	}
	running.Wait()

	count := map[string]int{}
	var table strings.Builder
	fmt.Fprintf(&table, "%-9s %-20s", "key", "by")
	for _, c := range columns {
		fmt.Fprintf(&table, " %-15s", c.name)
	}
	for i, r := range rows {
		fmt.Fprintf(&table, "\n%-9s %-20s", r.key.name, r.by)
		for _, what := range cells[i] {
			fmt.Fprintf(&table, " %-15s", what)
			count[what]++
		}
	}
	t.Logf("%d logins, %d refusals as they must be, %d wrong, in %v\n%s",
		count["ok"], count["refused"], count["WRONG"], time.Since(began).Round(time.Second), &table)
	for _, c := range []string{"ok", "refused"} {
		if count[c] == 0 {
			t.Errorf("no cell is %s", c)
		}
	}
}

// cell logs in once and says how it went.
func cell(t *testing.T, r *matrixRow, c *matrixColumn) string {
	if r.tries != nil && !r.tries(c) {
		return ""
	}
	var phrase keys.Secret
	if r.phrase != "" {
		phrase = secret(r.phrase)
	}
	used, err := logIn(t, remote.Host{
		Name: "h", Address: c.server.Host, Port: c.server.Port, User: c.server.User, KeyFiles: []string{r.file}, AgentSocket: r.socket,
		Passphrase: phrase, HostKeys: c.known, Legacy: slices.Concat(r.key.legacy, c.legacy),
	})
	public, publicErr := r.key.private.Public()
	switch takes := c.takesKey(r.key) && !r.never; {
	case publicErr != nil:
		t.Error(publicErr)
	case fault.Is(err, fault.Login) && !takes: // and not for want of an algorithm, say
		return "refused"
	case err == nil && takes && used == ssh.FingerprintSHA256(public):
		return "ok"
	}
	t.Errorf("%s by %s to %s: logged in %v with %q, %v", r.key.name, r.by, c.name, err == nil, used, err)
	return "WRONG"
}

// logIn logs in, asks for a folder, and returns the fingerprint of the key that
// did it.
func logIn(t *testing.T, h remote.Host) (used string, err error) {
	c, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil)
	if err != nil {
		return "", err
	}
	defer c.Close()
	files, err := c.Files(t.Context())
	if err != nil {
		return "", err
	}
	_, err = files.Stat(t.Context(), ".")
	return c.Info().KeyUsed, err
}

// TestMatrix logs in for real: every type of key, in every form and by an
// agent, to every server that takes it. The cells that a server refuses by what
// it is are listed and must be refused.
func TestMatrix(t *testing.T) {
	startsOthers(t)
	lab.NeedRoot(t)
	all := matrixKeys(t, t.TempDir())
	var public, files []string
	for _, k := range all {
		public, files = append(public, k.file+".pub"), append(files, k.file)
	}
	columns := []matrixColumn{
		{name: "OpenSSH", takes: "ed ec rs ds", server: lab.StartSSHD(t, lab.SSHD{Tester: true, AuthorizedKeys: public, Config: "PubkeyAcceptedAlgorithms +ssh-dss"})},
		{name: "OpenSSH, old", takes: "rs ds", legacy: oldAlgorithms(), server: lab.StartSSHD(t, lab.SSHD{Tester: true, AuthorizedKeys: public, HostKeys: []string{"dsa", "rsa"}, Config: oldServer})},
		{name: "dropbear", takes: "ed ec rs ds", server: lab.StartDropbear(t, lab.Other{AuthorizedKeys: public})},
		{name: "ProFTPD", takes: "ed ec rs ds", server: lab.StartProftpd(t, lab.Other{AuthorizedKeys: public})},
		{name: "asyncssh", takes: "ed ec rs ds", server: lab.StartAsyncSSH(t, lab.Other{AuthorizedKeys: public})},
	}
	socket := lab.StartAgent(t, files...)
	var rows []matrixRow
	locked := 0
	for i := range all {
		k := &all[i]
		for _, f := range k.forms() {
			rows = append(rows, matrixRow{key: k, by: string(f), file: k.written(t, f, "")})
		}
		for _, f := range k.forms() {
			// The server never sees how a key was stored, so one of them each.
			server := columns[locked%len(columns)].name
			if locked++; !columns[1].takesKey(k) && server == columns[1].name {
				server = columns[0].name
			}
			const phrase = "grüße, a passphrase"
			rows = append(rows, matrixRow{key: k, by: string(f) + ", passphrase", file: k.written(t, f, phrase), phrase: phrase,
				tries: func(c *matrixColumn) bool { return c.name == server }})
		}
		// Only the public half is in a file.
		file := writePrivate(t, filepath.Join(t.TempDir(), "id.pub"), readAll(t, k.file+".pub"))
		rows = append(rows, matrixRow{key: k, by: "agent", file: file, socket: socket})
	}
	runMatrix(t, columns, rows)
}
