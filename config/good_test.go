package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/retention"
	"linehaul/schedule/depend"
	"linehaul/stamp"
	"linehaul/transfer"
	"linehaul/tunnel/ikemsg"
)

func decode(t *testing.T, path string) *config.File {
	t.Helper()
	t.Setenv("HOME", "/home/jephe")
	f, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// unixOnly skips a test that is about paths as Unix spells them.
func unixOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("about paths of Unix")
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d good files (%v)", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f := decode(t, path)
			checkInvariants(t, f)
			for _, w := range f.Warnings {
				t.Errorf("warning: %v", w)
			}
		})
	}
}

// checkInvariants says what holds of every file that is accepted.
func checkInvariants(t testing.TB, f *config.File) {
	t.Helper()
	absolute := func(what string, paths ...string) {
		for _, p := range paths {
			if !filepath.IsAbs(p) {
				t.Errorf("%s %q is not absolute", what, p)
			}
		}
	}
	absolute("dir", f.Dir)
	absolute("state", f.State)
	absolute("logs.dir", f.Logs.Dir)
	absolute("known_hosts", f.KnownHosts...)
	if f.Logs.Name == nil || f.Logs.MaxSize < 1 || f.Logs.MaxAge < 0 || f.Logs.Keep < 0 {
		t.Errorf("logs: %+v", f.Logs)
	}
	if len(f.HostOrder) != len(f.Hosts) || len(f.JobOrder) != len(f.Jobs) {
		t.Errorf("%d of %d hosts and %d of %d jobs are in order", len(f.HostOrder), len(f.Hosts), len(f.JobOrder), len(f.Jobs))
	}
	if f.Node.Name == "" || f.Limits.Runs < 0 || f.Limits.PerHost < 0 || f.Limits.PerLink < 0 || f.History.MaxAge < 0 || f.History.Keep < 0 {
		t.Errorf("node %+v, limits %+v, history %+v", f.Node, f.Limits, f.History)
	}
	for name, h := range f.Hosts {
		absolute("keys", h.Keys...)
		absolute("known_hosts", h.KnownHosts...)
		absolute("certificate", h.Certificates...)
		if h.SSHConfig != "" {
			absolute("ssh_config", h.SSHConfig)
		}
		switch {
		case h.SSHConfig == "" && (h.Address == "" || h.User == ""), h.Given["address"] != (h.Address != ""):
			t.Errorf("host %+v", h)
		case h.Name != name || h.Port < 1 || h.Port > 65535:
			t.Errorf("host %+v", h)
		case h.ConnectTimeout <= 0 || h.StallTimeout <= 0 || h.Keepalive < 0:
			t.Errorf("host %q has no limits: %v, %v, %v", name, h.ConnectTimeout, h.StallTimeout, h.Keepalive)
		case len(h.HostKeys) != len(h.HostKeyTexts):
			t.Errorf("host %q has %d keys of %d texts", name, len(h.HostKeys), len(h.HostKeyTexts))
		}
		for at, steps := h, 0; at.Jump != ""; steps++ {
			if at = f.Hosts[at.Jump]; at == nil || steps > len(f.Hosts) {
				t.Fatalf("host %q jumps nowhere or in a circle", name)
			}
		}
	}
	depends := depend.NewGraph(f.JobOrder, func(job string) []depend.Dep { return f.Jobs[job].DependsOn.Deps })
	if cycles := depends.Cycles(1); cycles != nil {
		t.Errorf("jobs wait for each other: %v", cycles)
	}
	for name, j := range f.Jobs {
		for _, d := range j.DependsOn.Deps {
			if f.Jobs[d.Job] == nil || d.Within < 0 || !d.Before.IsZero() && !d.Today || d.Today && d.Within > 0 {
				t.Errorf("job %q depends on %+v", name, d)
			}
		}
		absolute("put", j.Put...)
		if j.To == nil {
			t.Fatalf("job %q has no target", name)
		}
		if len(j.Put) == 0 {
			absolute("to", j.To.String())
		}
		switch {
		case j.Name != name || (len(j.Get) == 0) == (len(j.Put) == 0):
			t.Errorf("job %+v", j)
		case f.Hosts[j.Host] == nil:
			t.Errorf("job %q has no host %q", name, j.Host)
		case j.Timezone == nil || j.Timeout <= 0 || j.Retry.Attempts < 1 || j.Retry.BackoffMin > j.Retry.BackoffMax:
			t.Errorf("job %+v", j)
		case (j.After.Source == "move") != (j.After.Move != nil) || !slices.Contains([]string{"keep", "delete", "move"}, j.After.Source):
			t.Errorf("job %q has after %+v", name, j.After)
		case j.Select.Check() != nil:
			t.Errorf("job %q selects %+v: %v", name, j.Select, j.Select.Check())
		case j.Overlap == config.OverlapAllow && (j.Sync != nil || j.After.Source != "keep" || !strings.Contains(j.To.String(), "{run")):
			t.Errorf("job %q may run beside itself: %+v", name, j)
		case !slices.Contains([]config.Overlap{"skip", "queue", "cancel", "allow"}, j.Overlap) || !slices.Contains([]string{"ok", "warn", "fail"}, j.IfNone):
			t.Errorf("job %+v", j)
		}
	}
}

func TestEverything(t *testing.T) {
	unixOnly(t)
	f := decode(t, "testdata/good/everything.yaml")
	dir, err := filepath.Abs("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "path", f.Path, "testdata/good/everything.yaml")
	equal(t, "dir", f.Dir, dir)
	equal(t, "state", f.State, "/srv/linehaul/state")
	same(t, "known hosts", f.KnownHosts, []string{"/home/jephe/.ssh/known_hosts", dir + "/known_hosts"})
	same(t, "hosts", f.HostOrder, []string{"hk1", "hk2"})
	same(t, "jobs", f.JobOrder, []string{"fetch", "send"})

	l := f.Logs
	equal(t, "logs.dir", l.Dir, filepath.Dir(dir)+"/log")
	equal(t, "logs.name", l.Name.String(), "{job}/{date}.log")
	equal(t, "logs.format", l.Format, "json")
	equal(t, "logs.level", l.Level, slog.LevelDebug)
	equal(t, "logs.max_size", l.MaxSize, 512<<10)
	equal(t, "logs.max_age", l.MaxAge, 28*24*time.Hour)
	equal(t, "logs.keep", l.Keep, 7)
	equal(t, "logs.compress", l.Compress, false)

	h := f.Hosts["hk1"]
	equal(t, "address", h.Address, "2001:db8::5")
	equal(t, "port", h.Port, 2200)
	equal(t, "user", h.User, `CORP\jephe`)
	same(t, "keys", h.Keys, []string{dir + "/id_ed25519", "/etc/linehaul/id_rsa"})
	equal(t, "agent", h.Agent, true)
	equal(t, "passphrase", h.Passphrase.IsZero(), false)
	equal(t, "password", h.Password.IsZero(), false)
	same(t, "host key texts", h.HostKeyTexts, []string{"SHA256:uNiVztksCsDhcc0u9e8BrZJ16Rq8Ee8qzbvPKFMZ6JQ"})
	same(t, "host known hosts", h.KnownHosts, []string{dir + "/hk1.known_hosts"})
	equal(t, "jump", h.Jump, "hk2")
	equal(t, "protocol", h.Protocol, "sftp")
	equal(t, "connect", h.ConnectTimeout, 90*time.Second)
	equal(t, "stall", h.StallTimeout, 90*time.Second)
	equal(t, "keepalive", h.Keepalive, 0)

	h = f.Hosts["hk2"]
	equal(t, "port", h.Port, 2222)
	equal(t, "agent with a password only", h.Agent, false)
	equal(t, "no passphrase", h.Passphrase.IsZero(), true)
	same(t, "known hosts of the file", h.KnownHosts, f.KnownHosts)
	equal(t, "protocol", h.Protocol, "auto")
	equal(t, "connect", h.ConnectTimeout, 30*time.Second)
	equal(t, "stall", h.StallTimeout, 60*time.Second)
	equal(t, "keepalive", h.Keepalive, 15*time.Second)

	j := f.Jobs["fetch"]
	if j.Schedule == nil {
		t.Error("no schedule")
	}
	equal(t, "timezone", j.Timezone.String(), "UTC")
	equal(t, "host", j.Host, "hk1")
	same(t, "get", j.Get, []string{"/var/backups/*.gz", "exports/"})
	equal(t, "to", j.To.String(), filepath.Dir(dir)+"/backup/{date}/")
	equal(t, "to text", j.ToText, "../backup/{date}/")
	equal(t, "recursive", j.Recursive, true)
	equal(t, "retry", j.Retry, config.Retry{Attempts: 1, BackoffMin: time.Minute, BackoffMax: time.Minute})
	equal(t, "timeout", j.Timeout, 24*time.Hour)
	equal(t, "if none", j.IfNone, "ok")
	equal(t, "log", j.Log.String(), "fetch/{date}-{run}.log")
	equal(t, "disabled", j.Disabled, true)
	equal(t, "keep", j.Keep, retention.Policy{Last: 3, Daily: 7, Weekly: 4, Monthly: 12, Yearly: 2, Within: 30 * 24 * time.Hour})
	equal(t, "after", j.After, config.After{Source: "delete"})
	same(t, "include", j.Select.Include, []string{"*.gz", "/exports/**"})
	same(t, "exclude", j.Select.Exclude, []string{"cache/", "*~"})
	j.Select.Include, j.Select.Exclude = nil, nil
	if want := (transfer.Select{
		MinSize: 1, MaxSize: 2 << 30, MinAge: 10 * time.Minute, MaxAge: 7 * 24 * time.Hour, OnlyNew: true, Newest: 3, Settle: 30 * time.Second,
		NoHidden: true, Symlinks: transfer.CopyLinks, Depth: 4, Names: transfer.MapNames,
	}); !reflect.DeepEqual(j.Select, want) {
		t.Errorf("selection: got %+v, want %+v", j.Select, want)
	}

	j = f.Jobs["send"]
	if j.Schedule != nil || j.Log != nil {
		t.Errorf("schedule %v, log %v, want none", j.Schedule, j.Log)
	}
	if want := (transfer.Select{OnlyNew: true, Ledger: true, Sentinel: "{stem}.ok", Symlinks: transfer.SkipLinks, Names: transfer.RefuseNames}); !reflect.DeepEqual(j.Select, want) {
		t.Errorf("selection: got %+v, want %+v", j.Select, want)
	}
	equal(t, "timezone", j.Timezone, time.Local)
	equal(t, "host", j.Host, "hk2")
	same(t, "put", j.Put, []string{dir + "/reports/*.pdf", "/home/jephe/x", "/srv/y"})
	equal(t, "to", j.To.String(), "incoming/{date}/{name}")
	equal(t, "keep", j.Keep.Empty(), true)
	equal(t, "after", j.After.Source, "move")
	equal(t, "move", j.After.Move.String(), "sent/{date}")
	equal(t, "retry", j.Retry, config.Retry{Attempts: 3, BackoffMin: 30 * time.Second, BackoffMax: 10 * time.Minute})
	equal(t, "timeout", j.Timeout, 24*time.Hour)
	equal(t, "if none", j.IfNone, "fail")
}

func TestAliases(t *testing.T) {
	f := decode(t, "testdata/good/aliases.yaml")
	for name, address := range map[string]string{"hk2": "hk2.example.net", "hk3": "hk3.example.net", "hk4": "hk1.example.net"} {
		h := f.Hosts[name]
		equal(t, name+" address", h.Address, address)
		equal(t, name+" user", h.User, "backup")
		equal(t, name+" agent", h.Agent, true)
		equal(t, name+" keys", len(h.Keys), 1)
	}
	equal(t, "merged timeout", f.Hosts["hk2"].ConnectTimeout, 10*time.Second)
	equal(t, "timeout of its own", f.Hosts["hk3"].ConnectTimeout, 30*time.Second)
	equal(t, "port", f.Hosts["hk4"].Port, 2222)
}

func TestSample(t *testing.T) {
	t.Setenv("HOME", "/home/jephe")
	f, err := config.Decode("linehaul.yaml", config.Sample())
	if err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, f)
	if len(f.Warnings) > 0 || len(f.Jobs) == 0 || len(f.Hosts) == 0 {
		t.Errorf("%d hosts, %d jobs, warnings %v", len(f.Hosts), len(f.Jobs), f.Warnings)
	}
	// What stands in it as a comment must be right as well.
	var open []string
	for line := range strings.Lines(string(config.Sample())) {
		for _, key := range []string{"passphrase:", "host_keys:", "timezone:", "reports:", "  put:", "  to: hk1"} {
			line = strings.Replace(line, "# "+key, key, 1)
		}
		open = append(open, line)
	}
	f, err = config.Decode("linehaul.yaml", []byte(strings.Join(open, "")))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Jobs) != 2 || len(f.Hosts["hk1"].HostKeys) != 1 || f.Hosts["hk1"].Passphrase.IsZero() {
		t.Errorf("with its comments opened: %+v", f.Hosts["hk1"])
	}
}

func TestWarnings(t *testing.T) {
	t.Setenv("HOME", "/home/jephe")
	tests := []struct{ name, yaml, want string }{
		{"host of one letter", "hosts:\n  d: {address: a, user: b}\n", "looks like a drive"},
		{"several files in one", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {get: 'hk1:*.gz', to: /srv/x}\n", "there may be several files"},
		{"several sources in one", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {put: [a, b], to: 'hk1:x'}\n", "there may be several files"},
		{"recursive in one", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {get: 'hk1:x', to: y, recursive: true}\n", "there may be several files"},
		{"passphrase without a key", "hosts:\n  hk1: {address: a, user: b, keys: agent, passphrase: env:X}\n", "the passphrase is for key files"},
		{"moved where it matches", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {get: 'hk1:/out/*.gz', to: y/, after: {source: {move: '{name}.gz'}}}\n", "would be taken again"},
		{"moved below what is taken", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {put: 'out/**/*.gz', to: 'hk1:y/', after: {source: {move: done}}}\n", "would be taken again"},
		{"moved in a folder that is taken", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {get: 'hk1:out', recursive: true, to: y/, after: {source: {move: done}}}\n", "would be taken again"},
		{"keep names nothing", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {get: 'hk1:x', to: y, keep: {last: 0}}\n", "none is ever removed"},
		{"two jobs keep the same names", "hosts:\n  hk1: {address: a, user: b}\n  hk2: {address: a, user: b}\njobs:\n  a: {get: 'hk1:x/*.gz', to: 'y/{date}/{name}', keep: {last: 1}}\n  b: {get: 'hk2:z/*.gz', to: 'y/{date}/{name}'}\n", "copies of both"},
		{"depends on what is disabled", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {get: 'hk1:x', to: y, disabled: true}\n  b: {get: 'hk1:x', to: z, depends_on: a}\n  c: {get: 'hk1:x', to: w, depends_on: a, disabled: true}\n", `"b" depends on "a", which is disabled`},
		{"backslash", "hosts:\n  hk1: {address: a, user: b}\njobs:\n  a: {get: 'hk1:x', to: 'y\\x'}\n", "is part of a name"},
	}
	if runtime.GOOS == "windows" { // where a backslash divides
		tests = slices.DeleteFunc(tests, func(tt struct{ name, yaml, want string }) bool { return tt.name == "backslash" })
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := config.Decode("x.yaml", []byte(tt.yaml))
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0].Message, tt.want) {
				t.Errorf("warnings %v, want one that says %q", f.Warnings, tt.want)
			}
		})
	}
}

// TestTargets: what a local target becomes, seen from /etc/linehaul.
func TestTargets(t *testing.T) {
	unixOnly(t)
	t.Setenv("HOME", "/home/jephe")
	tests := []struct{ to, want string }{
		{"backup/{name}", "/etc/linehaul/backup/{name}"},
		{"./backup/", "/etc/linehaul/backup/"},
		{".", "/etc/linehaul/"},
		{"..", "/etc/"},
		{"../..//../x", "/x"},
		{"{name}", "/etc/linehaul/{name}"},
		{"{date:%Y/%m}/{name}", "/etc/linehaul/{date:%Y/%m}/{name}"},
		{"/srv/x/", "/srv/x/"},
		{"~/x/{name}", "/home/jephe/x/{name}"},
		{"~", "/home/jephe/"},
	}
	for _, tt := range tests {
		yaml := "hosts: {hk1: {address: a, user: b}}\njobs: {a: {get: 'hk1:x', to: '" + tt.to + "'}}\n"
		f, err := config.Decode("/etc/linehaul/linehaul.yaml", []byte(yaml))
		if err != nil {
			t.Errorf("%s: %v", tt.to, err)
			continue
		}
		equal(t, tt.to, f.Jobs["a"].To.String(), tt.want)
	}
}

// TestOddFolder: a folder whose name holds braces and wildcards stays what it
// is in templates and patterns.
func TestOddFolder(t *testing.T) {
	unixOnly(t)
	t.Setenv("HOME", "/home/jephe")
	yaml := "hosts: {hk1: {address: a, user: b}}\njobs:\n  a: {get: 'hk1:x', to: '{name}'}\n  b: {put: '*.txt', to: 'hk1:x/'}\n"
	f, err := config.Decode("/srv/{name}[1]/linehaul.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "put", f.Jobs["b"].Put, []string{`/srv/\{name}\[1]/*.txt`})
	checkInvariants(t, f)
}

func TestNoHome(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "") // what Windows calls it
	_, err := config.Decode("/etc/x.yaml", []byte("state: ~/x\n"))
	var problems config.Errors
	if !errors.As(err, &problems) || !strings.Contains(problems.Report(), "~ is a home folder") {
		t.Errorf("error %v", err)
	}
}

func TestLoad(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !config.IsAbsent(err) {
		t.Errorf("absent file: %v", err)
	}
	_, err = config.Load(t.TempDir())
	if err == nil || config.IsAbsent(err) {
		t.Errorf("folder: %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, []byte("# "+strings.Repeat("x", 1<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err = config.Load(big); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("big file: %v", err)
	}
}

func TestSSHConfig(t *testing.T) {
	unixOnly(t)
	f := decode(t, "testdata/good/ssh_config.yaml")
	dir, err := filepath.Abs("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "for all", f.SSHConfig, dir+"/ssh/config")
	for name, want := range map[string]string{
		"hk1": dir + "/ssh/config", "hk2": "/home/jephe/.ssh/config", "hk3": "", "hk4": dir + "/ssh/config",
	} {
		equal(t, name, f.Hosts[name].SSHConfig, want)
	}
	given := func(name string) string {
		var all []string
		for key, given := range f.Hosts[name].Given {
			if given {
				all = append(all, key)
			}
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	equal(t, "hk1 gives", given("hk1"), "")
	equal(t, "hk2 gives", given("hk2"), "address port")
	equal(t, "hk3 gives", given("hk3"), "address identities_only keys")
	equal(t, "hk4 gives", given("hk4"), "identities_only keepalive keys")
	same(t, "certificate", f.Hosts["hk3"].Certificates, []string{dir + "/certs/id_ed25519-cert.pub"})
	same(t, "certificates", f.Hosts["hk4"].Certificates, []string{dir + "/certs/a-cert.pub", "/etc/linehaul/b-cert.pub"})
	for name, want := range map[string][2]bool{"hk1": {true, true}, "hk3": {true, false}, "hk4": {false, true}, "hk5": {true, false}} {
		equal(t, name+": agent, identities only", [2]bool{f.Hosts[name].Agent, f.Hosts[name].IdentitiesOnly}, want)
	}
}

func TestDependencies(t *testing.T) {
	f := decode(t, "testdata/good/depends.yaml")
	half, five := depend.Clock{Hour: 8, Minute: 30}, depend.Clock{Hour: 9, Minute: 5}
	for name, want := range map[string][]depend.Dep{
		"report": {{Job: "rates"}, {Job: "export", Today: true, Before: half}, {Job: "ledger", Within: 6 * time.Hour}},
		"rates":  nil, "export": {{Job: "rates"}}, "ledger": {{Job: "export", Today: true, Before: five}, {Job: "rates"}},
	} {
		same(t, name, f.Jobs[name].DependsOn.Deps, want)
	}
	equal(t, "wait", f.Jobs["report"].DependsOn.Wait, 150*time.Minute)
	equal(t, "no wait", f.Jobs["ledger"].DependsOn.Wait, 0)
	equal(t, "zone", f.Jobs["report"].DependsOn.Zone.String(), "Europe/Berlin")
	equal(t, "no zone", f.Jobs["ledger"].DependsOn.Zone, time.Local)
}

func TestOverlap(t *testing.T) {
	f := decode(t, "testdata/good/overlap.yaml")
	for name, want := range map[string]config.Overlap{
		"usual": config.OverlapSkip, "skip": config.OverlapSkip, "queue": config.OverlapQueue, "cancel": config.OverlapCancel,
		"allow": config.OverlapAllow, "allow-put": config.OverlapAllow,
	} {
		equal(t, name, f.Jobs[name].Overlap, want)
	}
}

// TestMoveTargets: where a source is moved to.
func TestMoveTargets(t *testing.T) {
	unixOnly(t)
	t.Setenv("HOME", "/home/jephe")
	tests := []struct{ move, source, want string }{
		{"done", "/out/a.gz", "/out/done/a.gz"},
		{"done/", "/out/a.gz", "/out/done/a.gz"},
		{"../done/{date}", "/out/a.gz", "/done/20261123/a.gz"},
		{"/done", "/out/a.gz", "/done/a.gz"},
		{"{stem}.done", "/out/a.gz", "/out/a.done"},
		{"/done/{date}/{path}", "/out/a.gz", "/done/20261123/a.gz"},
		{"done", "a.gz", "done/a.gz"},
	}
	for _, tt := range tests {
		yaml := "hosts: {hk1: {address: a, user: b}}\njobs: {a: {get: 'hk1:/out/*.gz', to: x/, after: {source: {move: '" + tt.move + "'}}}}\n"
		f, err := config.Decode("/etc/linehaul/linehaul.yaml", []byte(yaml))
		if err != nil {
			t.Errorf("%s: %v", tt.move, err)
			continue
		}
		v := stamp.Values{At: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Name: "a.gz", Path: "a.gz"}
		for _, local := range []bool{false, true} {
			got, err := f.Jobs["a"].After.Target(tt.source, v, local)
			if err != nil || got != tt.want {
				t.Errorf("%s of %s (local: %v): %q, %v; want %q", tt.move, tt.source, local, got, err, tt.want)
			}
		}
	}
}

func TestLinks(t *testing.T) {
	f := decode(t, "testdata/good/links.yaml")
	hk, office := f.Links["hongkong"], f.Links["office"]
	equal(t, "gateway", hk.Gateway, "vpn.example.net")
	equal(t, "local", hk.Local.String(), "branch@example.net")
	equal(t, "remote", hk.Remote.String(), "vpn.example.net")
	equal(t, "networks", fmt.Sprint(hk.Networks), "[10.20.0.0/16 10.21.0.7/32]")
	equal(t, "address", hk.Address.IsValid(), false)
	equal(t, "ike", hk.IKE[0].String(), "aes256gcm16-prfsha384-ecp384")
	equal(t, "esp", len(hk.ESP), 1)
	equal(t, "gateway", office.Gateway, "192.0.2.1:4500")
	equal(t, "local", office.Local.Kind, ikemsg.IDKey)
	equal(t, "remote", office.Remote == nil, true)
	equal(t, "address", office.Address.String(), "192.168.7.9")
	equal(t, "default", office.IKE == nil && office.ESP == nil, true)
	equal(t, "times", office.ESPLifetime, 30*time.Minute)
	equal(t, "times", fmt.Sprint(office.DPD, office.DeadAfter, office.IKELifetime), "5s 15s 4h0m0s")
	equal(t, "names", fmt.Sprint(office.DNS, office.Domains, office.MTU, hk.MTU), "[10.30.0.53 fd30::53] [corp.example.net] 1340 1400")
	equal(t, "usual times", fmt.Sprint(hk.DPD, hk.DeadAfter, hk.IKELifetime, hk.ESPLifetime), "20s 30s 8h0m0s 1h0m0s")
	proofs(t, f)
	there := f.Links["there"]
	equal(t, "route", *there.Route, config.Route{Interface: "wg0", Source: netip.MustParseAddr("10.1.0.7"), Via: netip.MustParseAddr("10.1.0.1")})
	equal(t, "networks", fmt.Sprint(there.Networks), "[10.80.0.0/16 fd80::/16]")
	equal(t, "no route", hk.Route == nil, true)
	equal(t, "link", f.Hosts["hk1"].Link, "hongkong")
	equal(t, "no link", f.Hosts["near"].Link, "")
}

// proofs are the ways in which both sides of the links log in.
func proofs(t *testing.T, f *config.File) {
	t.Helper()
	base := func(paths ...string) string {
		for i, p := range paths {
			paths[i] = filepath.Base(p)
		}
		return fmt.Sprint(paths)
	}
	certificates, password, both, shared := f.Links["certificates"], f.Links["password"], f.Links["both"], f.Links["shared"]
	equal(t, "certs", base(certificates.Pair.Certs...), "[branch.pem between.pem]")
	equal(t, "key", base(certificates.Pair.Key), "[branch.key]")
	equal(t, "passphrase and pss", !certificates.Pair.Passphrase.IsZero() && certificates.Pair.PSS, true)
	equal(t, "cas", base(certificates.CAs...), "[ca.pem old-ca.pem]")
	equal(t, "crls", base(certificates.CRLs...), "[ca.crl]")
	equal(t, "contact", certificates.InitialContact, true)
	equal(t, "childless", certificates.Childless && !password.Childless, true)
	equal(t, "gateway's name", certificates.GatewayName.String(), "vpn.example.net")
	equal(t, "no eap", certificates.EAP == nil && certificates.PSK.IsZero() && certificates.Local.Data == nil, true)
	equal(t, "user", password.EAP.User, `WORK\alice`)
	equal(t, "methods", slices.Equal(password.EAP.Methods, []ikemsg.EAPType{ikemsg.EAPMSCHAPv2, ikemsg.EAPGTC}), true)
	equal(t, "remote", password.Remote.Kind, ikemsg.IDName)
	equal(t, "no other name", password.GatewayName == nil && !password.InitialContact, true)
	equal(t, "both", !both.PSK.IsZero() && both.EAP.Password.IsZero() && both.EAP.Methods == nil, true)
	equal(t, "eap's pair", base(append(both.EAP.Pair.Certs, both.EAP.Pair.Key)...), "[alice.pem alice.ppk]")
	equal(t, "server", both.EAP.Server.String(), "radius.example.net")
	equal(t, "gateway's address", both.GatewayName.String(), "2001:db8::1")
	equal(t, "their psk", shared.PSK.IsZero() && !shared.RemotePSK.IsZero() && shared.CAs == nil, true)
}
