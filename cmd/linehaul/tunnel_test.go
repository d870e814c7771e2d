//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
)

// A held command runs until it is stopped.
type held struct {
	cmd   *exec.Cmd
	lines chan string
	errs  *lab.Buffer
}

// hold starts a command of linehaul whose standard output comes line by line.
func (s *linkSite) hold(args ...string) *held {
	s.t.Helper()
	h := &held{cmd: s.command(args...), lines: make(chan string, 1000), errs: &lab.Buffer{}}
	h.cmd.Stderr = h.errs
	out, err := h.cmd.StdoutPipe()
	if err == nil {
		err = h.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(h.lines)
		for r := bufio.NewScanner(out); r.Scan(); {
			h.lines <- r.Text()
		}
	}()
	s.t.Cleanup(func() { h.cmd.Process.Kill() })
	return h
}

// await returns the next line that has a text.
func (h *held) await(t *testing.T, text string) string {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case line, open := <-h.lines:
			if strings.Contains(line, text) {
				return line
			}
			if !open {
				t.Fatalf("it ended without %q:\n%s", text, h.errs)
			}
		case <-late:
			t.Fatalf("no line has %q:\n%s", text, h.errs)
		}
	}
}

// end stops it by a signal, and returns its exit code.
func (h *held) end(t *testing.T, by os.Signal) int {
	t.Helper()
	if err := h.cmd.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	for range h.lines { // until it has ended
	}
	err := h.cmd.Wait()
	if h.cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return h.cmd.ProcessState.ExitCode()
}

// rows asks for the status, and returns it with the exit code.
func (s *linkSite) rows(args ...string) ([]tunnelRow, int) {
	s.t.Helper()
	cmd := s.command(append([]string{"tunnel", "status", "--json"}, args...)...)
	out, err := cmd.Output()
	var rows []tunnelRow
	if decodeErr := json.Unmarshal(out, &rows); decodeErr != nil {
		s.t.Fatalf("%v, %v\n%s", err, decodeErr, out)
	}
	return rows, cmd.ProcessState.ExitCode()
}

// TestTunnelUp holds a link up and asks another process about it, against what
// strongSwan says.
func TestTunnelUp(t *testing.T) {
	s := newLinkSite(t, 1<<20)
	if rows, code := s.rows(); len(rows) != 0 || code != 0 {
		t.Errorf("nothing is up: %v, exit code %d", rows, code)
	}
	h := s.hold("tunnel", "up", "lab")
	h.await(t, "lab: connecting to 192.0.2.1 as road.lab.test")
	t.Log(h.await(t, "lab: up: 10.88.0."))
	s.Await("what it says", func() bool { rows, _ := s.rows(); return len(rows) == 1 && rows[0].State == "up" })
	rows, code := s.rows("lab")
	r := rows[0]
	if code != 0 || r.Link != "lab" || r.Verb != "tunnel up" || len(r.IKE) != 1 || len(r.Children) != 1 || r.DPD.State != "answering" || r.RemoteID != gateway.GateID {
		t.Fatalf("exit code %d, %+v", code, r)
	}
	sas := s.SAs()
	for _, spi := range []string{r.IKE[0].InitiatorSPI, r.IKE[0].ResponderSPI, r.Children[0].InSPI, r.Children[0].OutSPI} {
		if !strings.Contains(sas, spi) {
			t.Errorf("the gateway has no SPI %s:\n%s", spi, sas)
		}
	}
	table := s.must("tunnel", "status")
	for _, want := range []string{"IKE SAs", "ESP SAs", r.IKE[0].ResponderSPI, "10.77.0.0/24 > 10.88.0.1/32", "aes128-sha256-noesn", "answering", fmt.Sprintf("tunnel up (%d)", r.PID)} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q", want)
		}
	}
	t.Logf("\n%s", table)

	// A run through the link in a process of its own is beside it.
	s.must("run", "nightly")

	// The gateway goes and comes back.
	s.Stop()
	s.Restart()
	h.await(t, "lab: lost: ")
	h.await(t, "lab: reconnecting in ")
	h.await(t, "lab: up: ")

	if code := h.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, h.errs)
	}
	s.Await("the gateway is told", func() bool { return s.SAs() == "" })
	if rows, code := s.rows("lab"); len(rows) != 0 || code != 4 {
		t.Errorf("after the end: %v, exit code %d", rows, code)
	}
	for _, left := range []string{"tunnels/*"} {
		if files, err := filepath.Glob(filepath.Join(s.Home, "state", left)); err != nil || len(files) > 0 {
			t.Errorf("left behind: %q", files)
		}
	}

	// One that is killed is not taken for one that lives.
	h = s.hold("tunnel", "up", "lab", "--json")
	line := h.await(t, `"event":"up"`)
	var event eventLine
	if err := json.Unmarshal([]byte(line), &event); err != nil || event.Status == nil || len(event.Status.Children) != 1 {
		t.Errorf("%v: %s", err, line)
	}
	s.Await("what it says", func() bool { rows, _ := s.rows(); return len(rows) == 1 })
	h.end(t, syscall.SIGKILL)
	if rows, _ := s.rows(); len(rows) != 0 {
		t.Errorf("a dead process: %+v", rows)
	}

	// What serve keeps up is seen, too.
	text, err := os.ReadFile(s.config)
	if err == nil {
		err = os.WriteFile(s.config, []byte(strings.Replace(string(text), "    ipsec:\n", "    ipsec:\n      keep: true\n", 1)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	h = s.hold("serve")
	s.Await("what serve says", func() bool {
		rows, _ := s.rows("lab")
		return len(rows) == 1 && rows[0].Verb == "serve" && rows[0].State == "up"
	})
	if code := h.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("serve: exit code %d\n%s", code, h.errs)
	}
	if rows, _ := s.rows(); len(rows) != 0 {
		t.Errorf("after serve: %+v", rows)
	}

	// A login that is refused ends it.
	refused := s.command("tunnel", "up", "lab")
	refused.Env = append(refused.Env, "LAB_PSK=another one")
	out, _ := refused.CombinedOutput()
	if code := refused.ProcessState.ExitCode(); code != 4 || !strings.Contains(string(out), "gateway login: ") {
		t.Errorf("a wrong key: exit code %d\n%s", code, out)
	}
	if out, err := s.run("tunnel", "up", "nowhere"); err == nil || !strings.Contains(out, `no link "nowhere"`) {
		t.Errorf("a link that is not there: %s", out)
	}
}

// TestTunnelProxy: curl, on the road, fetches from a web server behind the
// gateway, through each kind of proxy; a capture has all of it.
func TestTunnelProxy(t *testing.T) {
	lab.Need(t, "curl", "tshark")
	s := newLinkSite(t, 1<<20)
	l, err := s.LanHost.Listen(t.Context(), "tcp", gateway.Lan+":80")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %d\n", r.Host, r.RemoteAddr, n)
	})}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	t.Cleanup(func() { web.Close(); <-served })

	if out, err := s.run("tunnel", "proxy", "lab", "--listen", "0.0.0.0:1080"); err == nil || !strings.Contains(out, "--anyone-may-connect") {
		t.Errorf("a proxy for everybody: %s", out)
	}
	if out := s.must("get", "--capture", "got.pcapng", "behind:"+s.source, "hand/"); !strings.Contains(out, "warning: got.pcapng exposes") {
		t.Errorf("a capture of a get: %s", out)
	}
	if info, err := os.Stat(filepath.Join(s.Home, "got.pcapng")); err != nil || info.Size() < 2<<20 {
		t.Errorf("a file of 1 MiB, inside and outside, is captured in %v, %v", info, err)
	}
	if out, err := s.run("get", "--capture", "got.pcapng", "behind:"+s.source, "hand/"); err == nil || !strings.Contains(out, "is there already") {
		t.Errorf("a capture is written over: %s", out)
	}
	h := s.hold("tunnel", "proxy", "lab", "--listen", "127.0.0.1:1080", "-L", "8080:"+gateway.LanName+":80", "--capture", "seen.pcapng", "--keylog", "keys")
	h.await(t, "lab: up: ")
	curl := func(args ...string) (string, error) {
		return s.RoadHost.Try("curl", append([]string{"-sS", "--max-time", "20", "--noproxy", ""}, args...)...)
	}
	upload := filepath.Join(s.Dir, "backup.bin")
	socks, connect := []string{"--socks5-hostname", "127.0.0.1:1080"}, []string{"-p", "-x", "http://127.0.0.1:1080"}
	for name, args := range map[string][]string{
		"SOCKS by name":   append(socks, "http://"+gateway.LanName+"/"),
		"SOCKS by IP":     {"--socks5", "127.0.0.1:1080", "http://" + gateway.Lan + "/"},
		"CONNECT by name": append(connect, "http://"+gateway.LanName+"/"),
		"forward":         {"http://127.0.0.1:8080/"},
	} {
		out, err := curl(args...)
		if err != nil || !strings.Contains(out, " 10.88.0.") {
			t.Errorf("%s: %q, %v", name, out, err)
		}
		if out, err := curl(append([]string{"-H", "Expect:", "-T", upload}, args...)...); err != nil || !strings.Contains(out, fmt.Sprint(" ", 1<<20)) {
			t.Errorf("%s, upload: %q, %v", name, out, err)
		}
	}
	for name, args := range map[string][]string{
		"(2)": append(socks, "http://"+gateway.Gate+"/"), // not behind the gateway
		"403": append(connect, "http://"+gateway.Gate+"/"),
		"(4)": append(socks, "http://unknown.lab.test/"),
		"(5)": append(socks, "http://"+gateway.Lan+":81/"),
	} {
		if out, err := curl(args...); err == nil || !strings.Contains(out, name) {
			t.Errorf("curl %q: %q, %v, want %s", args, out, err, name)
		}
	}
	s.lookUp()
	if code := h.end(t, syscall.SIGINT); code != 0 || strings.Count(h.errs.String(), "warning: ") != 2 {
		t.Errorf("exit code %d:\n%s", code, h.errs)
	}
	s.captured()
	s.onlyTunnel()
}

// lookUp asks the name server behind the gateway by UDP through the proxy.
func (s *linkSite) lookUp() {
	s.t.Helper()
	var control, relay net.Conn
	answer := make([]byte, 12)
	err := s.RoadHost.Do(func() (err error) {
		if control, err = net.Dial("tcp", "127.0.0.1:1080"); err != nil {
			return err
		}
		control.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(control, "\x05\x01\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00")
		if _, err := io.ReadFull(control, answer); err != nil {
			return err
		}
		relay, err = net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", int(answer[10])<<8|int(answer[11])))
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer control.Close()
	defer relay.Close()
	name, err := dnsmessage.NewName(gateway.LanName + ".")
	if err != nil {
		s.t.Fatal(err)
	}
	query, err := (&dnsmessage.Message{Header: dnsmessage.Header{ID: 77}, Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}).Pack()
	if err != nil {
		s.t.Fatal(err)
	}
	head := append([]byte{0, 0, 0, 1}, append(netip.MustParseAddr(gateway.Lan).AsSlice(), 0, 53)...)
	relay.SetDeadline(time.Now().Add(20 * time.Second))
	relay.Write(append(head, query...))
	b := make([]byte, 1500)
	n, err := relay.Read(b)
	if err != nil {
		s.t.Fatal(err)
	}
	var reply dnsmessage.Message
	if err := reply.Unpack(b[min(n, len(head)):n]); err != nil || reply.ID != 77 || len(reply.Answers) != 1 || !strings.Contains(reply.Answers[0].Body.GoString(), "10, 77, 0, 2") {
		s.t.Errorf("the name server's answer by UDP: %v, %v", reply, err)
	}
}

// captured checks that tshark decrypts what --capture and --keylog have left.
func (s *linkSite) captured() {
	s.t.Helper()
	home := s.t.TempDir()
	profile := filepath.Join(home, "wireshark", "profiles", "keys")
	if err := os.MkdirAll(profile, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"seen.pcapng", "keys/esp_sa", "keys/ikev2_decryption_table"} {
		file := filepath.Join(s.Home, name)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			s.t.Fatalf("%s: %v, %v", name, info, err)
		}
		b, err := os.ReadFile(file)
		if err == nil && name != "seen.pcapng" {
			err = os.WriteFile(filepath.Join(profile, filepath.Base(name)), b, 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	// Each packet is there twice, inside and outside, which TCP's reassembly takes
	// for one that was sent again.
	out := lab.RunWith(s.t, []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home}, "tshark", "-C", "keys", "-r", filepath.Join(s.Home, "seen.pcapng"),
		"-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", "-o", "tcp.desegment_tcp_streams:FALSE",
		"-T", "fields", "-e", "frame.interface_name", "-e", "esp.spi", "-e", "esp.icv_good", "-e", "http.request.method")
	esp, good, requests := 0, 0, 0
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case len(f) != 4: // what tshark says of itself
		case f[0] == "inner" && f[3] != "":
			requests++
		case f[0] == "outer" && f[1] != "":
			esp++
			if f[2] == "1" {
				good++
			}
		}
	}
	if esp < 1000 || good != esp || requests < 8 {
		s.t.Errorf("%d of %d ICVs good, %d requests seen of 8", good, esp, requests)
	}
}
