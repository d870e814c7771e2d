package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"linehaul/keys"
)

// rules makes a File of a document: it holds the values against each other
// and reports what cannot be meant. Values that the decoder refused are not
// given, and so not reported again.
type rules struct {
	*reporter
	dir   string
	hosts []string // every name under hosts, also of those that are wrong
}

func newRules(r *reporter, dir string) *rules { return &rules{reporter: r, dir: dir} }

func (r *rules) file(doc *document) *File {
	places := DefaultPlaces(ThisSystem(os.Getenv))
	f := &File{
		Dir:        r.dir,
		State:      r.folder(doc.State, places.State),
		Logs:       r.logs(&doc.Logs, places.Logs),
		KnownHosts: r.paths(doc.KnownHosts),
		SSHConfig:  r.sshConfig(&doc.SSHConfig),
		Hosts:      make(map[string]*Host),
		Links:      make(map[string]*Link),
		Jobs:       make(map[string]*Job),
	}
	f.Bandwidth = r.bandwidth(&doc.Bandwidth, time.Local)
	f.Store, f.Node = r.store(&doc.Store), r.node(&doc.Node)
	f.Limits = RunLimits{Runs: doc.Limits.Runs.value, PerHost: doc.Limits.PerHost.value, PerLink: doc.Limits.PerLink.value}
	f.History = History{MaxAge: doc.History.MaxAge.value, Keep: doc.History.Keep.value}
	for _, h := range doc.Hosts.items {
		r.hosts = append(r.hosts, h.name)
	}
	names := make(map[string]string)
	for _, h := range doc.Hosts.items {
		r.name(h.name, h.at, names)
		if len(h.name) == 1 {
			r.warn(h.at, "a host of one letter looks like a drive of Windows in paths such as %s:/x", h.name).
				suggest("give it a longer name")
		}
		f.Hosts[h.name] = r.host(h.name, &h.value, f.KnownHosts, f.SSHConfig)
		r.needed(h.at, &h.value, f.Hosts[h.name])
		f.HostOrder = append(f.HostOrder, h.name)
	}
	r.jumps(doc.Hosts.items, f.Hosts)
	r.links(doc, f)
	clear(names)
	for _, j := range doc.Jobs.items {
		r.name(j.name, j.at, names)
		f.Jobs[j.name] = r.job(j.name, j.at, &j.value)
		f.JobOrder = append(f.JobOrder, j.name)
	}
	r.sharedTargets(doc.Jobs.items, f.Jobs)
	r.dependents(doc.Jobs.items, f.Jobs)
	return f
}

// namePattern is what hosts and jobs may be called: their names become names
// of files.
const namePattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`

var nameForm = regexp.MustCompile(namePattern)

func (r *rules) name(name string, at spot, seen map[string]string) {
	lower := strings.ToLower(name)
	other, taken := seen[lower]
	switch {
	case !nameForm.MatchString(name):
		r.problem(at, "%s cannot be a name", quote(name)).
			suggest("a name has up to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit")
	case strings.HasSuffix(name, "."):
		r.problem(at, "%s cannot be a name: Windows drops the dot at the end of a file's name", quote(name))
	case isWindowsDevice(name):
		r.problem(at, "%s cannot be a name: on Windows it is a device", quote(name))
	case taken:
		r.problem(at, "%s differs from %s in case only: on some systems their files would be the same", quote(name), quote(other))
	}
	seen[lower] = name
}

// logs makes what the section says; the place is where they go by default.
func (r *rules) logs(s *logsSection, place string) Logs {
	l := Logs{
		Dir: r.folder(s.Dir, place), Name: r.logName(&s.Name), Format: s.Format.value,
		MaxSize: s.MaxSize.value, MaxAge: s.MaxAge.value, Keep: s.Keep.value, Compress: s.Compress.value,
	}
	_ = l.Level.UnmarshalText([]byte(s.Level.value)) // the words are slog's
	if s.MaxSize.given && s.MaxSize.value < 4096 {
		r.problem(s.MaxSize.at, "`max_size` wants at least 4KiB")
	}
	return l
}

// host makes a host of what its section says.
func (r *rules) host(name string, s *hostEntry, knownHosts []string, sshConfig string) *Host {
	h := &Host{
		Name: name, User: s.User.value, Port: s.Port.value, SSHConfig: sshConfig,
		Certificates: r.paths(s.Certificate), IdentitiesOnly: s.IdentitiesOnly.value,
		Passphrase: r.secret(&s.Passphrase), Password: r.secret(&s.Password),
		KnownHosts: r.paths(s.KnownHosts), Jump: s.Jump.value, Protocol: s.Protocol.value,
		ConnectTimeout: r.positive(&s.ConnectTimeout), StallTimeout: r.positive(&s.StallTimeout),
		Keepalive: s.Keepalive.value,
	}
	portGiven := s.Port.given
	if s.Address.given {
		address, port, err := splitAddress(s.Address.value)
		switch {
		case err != nil:
			r.problem(s.Address.at, "`address` %s: %v", quote(s.Address.value), err)
		case port != 0 && s.Port.given && s.Port.value != port:
			r.problem(s.Port.at, "`port` is %d, and the address says %d", s.Port.value, port).suggest("remove one of them")
		case port != 0:
			h.Port, portGiven = port, true
		}
		h.Address = address
	}
	if s.SSHConfig.given {
		h.SSHConfig = r.sshConfig(&s.SSHConfig)
	}
	h.Bandwidth, h.Runs = r.bandwidth(&s.Bandwidth, time.Local), s.Runs.value
	h.Given = map[string]bool{
		"address": s.Address.given, "port": portGiven, "keys": s.Keys.given,
		"identities_only": s.IdentitiesOnly.given, "connect_timeout": s.ConnectTimeout.given,
		"stall_timeout": s.StallTimeout.given, "keepalive": s.Keepalive.given,
	}
	r.keys(h, s)
	for _, t := range s.HostKeys.items {
		pin, err := keys.ParsePin(t.value)
		if err != nil {
			r.problem(t.at, "%v", err).suggest("`ssh-keyscan HOST | ssh-keygen -lf -` prints fingerprints such as SHA256:…; compare them with the server's administrator")
			continue
		}
		h.HostKeys = append(h.HostKeys, pin)
		h.HostKeyTexts = append(h.HostKeyTexts, t.value)
	}
	for _, t := range s.Legacy.items {
		if err := keys.CheckLegacy(t.value); err != nil {
			r.problem(t.at, "`legacy`: %v", err)
			continue
		}
		h.Legacy = append(h.Legacy, t.value)
	}
	if !s.KnownHosts.given {
		h.KnownHosts = knownHosts
	}
	return h
}

// sshConfig is the file of OpenSSH's configuration that a key names.
func (r *rules) sshConfig(t *text) string {
	if !t.given || t.value == "none" {
		return ""
	}
	p, _ := r.path(t)
	return p
}

// needed reports what a host cannot do without and nothing gives. What an
// ssh_config gives is known when it is read, before each run.
func (r *rules) needed(at spot, s *hostEntry, h *Host) {
	if h.SSHConfig != "" || !s.SSHConfig.absent() && s.SSHConfig.value != "none" {
		return
	}
	for _, k := range []struct {
		absent        bool
		name, example string
	}{{s.Address.absent(), "address", "10.20.0.5"}, {s.User.absent(), "user", "backup"}} {
		if k.absent {
			r.problem(at, "`%s` has no `%s`", at.name, k.name).suggest("add `%s: %s`, or name an `ssh_config` that gives it", k.name, k.example)
		}
	}
}

// keys sorts the keys of a host into files and the agent.
func (r *rules) keys(h *Host, s *hostEntry) {
	h.Agent = !s.Keys.given && !s.Password.given || s.IdentitiesOnly.given && !s.IdentitiesOnly.value
	for _, t := range s.Keys.items {
		if t.value == "agent" {
			h.Agent = true
			continue
		}
		if private, ok := strings.CutSuffix(t.value, ".pub"); ok {
			r.problem(t.at, "%s is the public half of a key", quote(t.value)).suggest("name the private half: %s", shown(private))
			continue
		}
		if p, ok := r.path(&t); ok {
			h.Keys = append(h.Keys, p)
		}
	}
	if s.Passphrase.given && s.Keys.given && len(h.Keys) == 0 {
		r.warn(s.Passphrase.at, "the passphrase is for key files, and the host has none")
	}
	if s.IdentitiesOnly.given && h.IdentitiesOnly && len(h.Keys) == 0 && len(h.Certificates) == 0 && h.SSHConfig == "" {
		r.problem(s.IdentitiesOnly.at, "`identities_only` keeps an agent to the key files and certificates of the host, and it has none").
			suggest("name them in `keys` or `certificate`; of a key that the agent alone has, write KEY where KEY.pub lies")
	}
}

// jumps refuses ways that lead nowhere or in a circle.
func (r *rules) jumps(items []item[hostEntry], hosts map[string]*Host) {
	for _, h := range items {
		jump := &h.value.Jump
		if !jump.given {
			continue
		}
		if !r.knownHost(jump) {
			continue
		}
		way := []string{h.name}
		for at := jump.value; at != "" && hosts[at] != nil; at = hosts[at].Jump {
			way = append(way, at)
			if at == h.name {
				r.problem(jump.at, "the hosts jump in a circle: %s", shown(strings.Join(way, " -> ")))
				break
			}
			if slices.Contains(way[:len(way)-1], at) {
				break // a circle further on, which is reported there
			}
		}
	}
}

// knownHost reports a name that is not one of the hosts.
func (r *rules) knownHost(t *text) bool {
	if slices.Contains(r.hosts, t.value) {
		return true
	}
	a := r.problem(t.at, "no host %s in this file", quote(t.value))
	if near := Nearest(t.value, r.hosts); near != "" {
		a.suggest("did you mean `%s`?", near)
	} else if len(r.hosts) > 0 {
		a.suggest("the hosts are %s", shown(strings.Join(r.hosts, ", ")))
	} else {
		a.suggest("declare it under `hosts`")
	}
	return false
}

func (r *rules) secret(v *secretRef) Secret {
	if !v.given {
		return Secret{}
	}
	s, err := ParseSecret(v.value, r.dir)
	if err != nil {
		r.problem(v.at, "`%s`: %v", v.at.name, err).
			suggest("put the secret into an environment variable, or into a file that only the service can read")
	}
	return s
}

// positive is a limit of time that cannot be switched off.
func (r *rules) positive(v *duration) time.Duration {
	if v.given && v.value <= 0 {
		r.problem(v.at, "`%s` wants more than 0: a silent server would be waited for without end", v.at.name)
	}
	return v.value
}

// path makes a local path absolute.
func (r *rules) path(t *text) (string, bool) {
	p, err := localPath(t.value, r.dir)
	if err != nil {
		r.problem(t.at, "`%s` %s: %v", t.at.name, quote(t.value), err)
		return "", false
	}
	return p, true
}

func (r *rules) paths(t texts) []string {
	var all []string
	for _, item := range t.items {
		if p, ok := r.path(&item); ok {
			all = append(all, p)
		}
	}
	return all
}

// folder is a folder that the file names, or else its usual place.
func (r *rules) folder(t text, place string) string {
	if t.given {
		p, _ := r.path(&t)
		return p
	}
	if place == "" {
		r.problem(t.at, "`%s` is not given, and this user has no home folder for it", t.at.key).
			suggest("add `%s`, or set HOME", t.at.key)
	}
	return place
}
