package job

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/keys"
	"linehaul/keys/sshconfig"
	"linehaul/transfer/remote"
)

// Our own limits on what an OpenSSH configuration can ask for.
const (
	maxHops    = 8              // hosts on the way
	maxSilence = 24 * time.Hour // of a server
	maxListed  = 8              // names in one warning
)

// A filling is a host on its way to have its gaps filled from an OpenSSH
// configuration.
type filling struct {
	Place
	said  *config.Host // what outweighs the configuration
	conf  *sshconfig.Config
	host  *remote.Host
	trust *keys.HostKeyOptions
}

// fill takes from the host's OpenSSH configuration what is not said of it, and
// warns of what that asks for and does not get. The host is looked up by its
// name, as if that had been typed after ssh and the rest after -o.
func (p Place) fill(h *remote.Host, trust *keys.HostKeyOptions, c *config.Host, way []string) error {
	ask := p.SSH
	if ask == nil {
		ask = sshconfig.Local
	}
	options, err := ask()
	if err != nil {
		return err
	}
	q := sshconfig.Question{Host: c.Name, User: c.User, HostName: c.Address}
	if c.Given["port"] {
		q.Port = c.Port
	}
	conf, err := sshconfig.Read(c.SSHConfig, q, options)
	if err != nil {
		return err
	}
	f := filling{Place: p, said: c, conf: conf, host: h, trust: trust}
	h.Address, h.User = conf.HostName, conf.User
	if conf.Port != 0 {
		h.Port = conf.Port
	}
	for _, n := range conf.NotHonoured {
		h.Warnings = append(h.Warnings, remote.Warning{File: n.File, Line: n.Line, What: strings.TrimSpace(n.Keyword + " " + n.Value), Why: n.Why, Minor: !n.Matters})
	}
	f.connection()
	f.keys()
	f.certificates()
	f.hostKeys()
	if err := f.algorithms(); err != nil {
		return err
	}
	if err := f.methods(); err != nil {
		return err
	}
	if c.Jump == "" && !c.Given["jump"] {
		h.Jump, err = f.jump(way)
	}
	return err
}

// warn notes what the configuration asks for by a keyword and does not get.
func (f *filling) warn(keyword, value, why string) {
	at, _ := f.conf.Origin(keyword)
	f.host.Warnings = append(f.host.Warnings, remote.Warning{File: at.File, Line: at.Line, What: strings.TrimSpace(keyword + " " + value), Why: why})
}

// minor is warn for what makes no difference to the connection.
func (f *filling) minor(keyword, value, why string) {
	f.warn(keyword, value, why)
	f.host.Warnings[len(f.host.Warnings)-1].Minor = true
}

// sets reports whether a file sets the keyword.
func (f *filling) sets(keyword string) bool {
	_, ok := f.conf.Origin(keyword)
	return ok
}

// wrong is an error about what a file sets.
func (f *filling) wrong(keyword, format string, args ...any) *fault.Error {
	at, _ := f.conf.Origin(keyword)
	return fault.New(fault.Config, "%s:%d: %s for %q: %s", at.File, at.Line, keyword, f.said.Name, fmt.Sprintf(format, args...))
}

// path is where a path of the configuration leads.
func (f *filling) path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.Dir, path)
}

// connection fills in how the server is reached, and for how long.
func (f *filling) connection() {
	h, c := f.host, f.conf
	h.Network = map[string]string{"inet": "tcp4", "inet6": "tcp6"}[c.AddressFamily]
	h.BindAddress = c.BindAddress
	if c.Compression {
		f.minor("Compression", "yes", "nothing is compressed on the line")
	}
	switch {
	case f.said.Given["connect_timeout"]:
	case c.ConnectTimeout > 0:
		h.ConnectTimeout = c.ConnectTimeout
	case f.sets("ConnectTimeout"):
		f.warn("ConnectTimeout", "0", fmt.Sprintf("no wait is without a limit here: it is %v", h.ConnectTimeout))
	}
	if f.said.Given["keepalive"] || !f.sets("ServerAliveInterval") {
		return
	}
	if c.ServerAliveInterval == 0 {
		h.Keepalive = -1
		return
	}
	h.Keepalive = c.ServerAliveInterval
	count := 3
	if f.sets("ServerAliveCountMax") {
		count = c.ServerAliveCountMax
	}
	switch {
	case f.said.Given["stall_timeout"]:
	case count == 0:
		f.warn("ServerAliveCountMax", "0", fmt.Sprintf("a server that does not answer is given up after %v", h.StallTimeout))
	default:
		// ssh never gives up a server that answers, so this does not shorten the
		// time that a transfer may stand still.
		h.AliveTimeout = maxSilence
		if most := maxSilence / c.ServerAliveInterval; time.Duration(count) < most {
			h.AliveTimeout = time.Duration(count) * c.ServerAliveInterval
		}
		h.StallTimeout = max(h.StallTimeout, h.AliveTimeout)
	}
}

// keys fills in what to log in with. A key file that is absent is passed over,
// as ssh does it.
func (f *filling) keys() {
	h, c := f.host, f.conf
	agent := f.AgentSocket
	switch c.IdentityAgent {
	case "":
	case "none":
		agent = ""
	default:
		agent = f.path(c.IdentityAgent)
	}
	if f.said.Given["keys"] {
		if f.said.Agent && agent != "" {
			h.AgentSocket = agent
		}
	} else if c.IdentityFiles != nil || f.said.Password.IsZero() {
		h.AgentSocket = agent
		h.KeyFiles = f.identities()
	}
	if f.said.Given["identities_only"] {
		return
	}
	switch {
	case f.sets("IdentitiesOnly") && !c.IdentitiesOnly:
		h.AgentKeys = remote.AgentAll
	case c.IdentitiesOnly:
		h.AgentKeys = remote.AgentMatching
	case !f.said.Given["keys"] && c.IdentityFiles == nil:
		h.AgentKeys = remote.AgentAll // the usual keys were chosen by nobody
	}
}

// identities are the key files that are there: those of the configuration, or
// the ones that ssh tries where it names none.
func (f *filling) identities() []string {
	there := func(path string) bool {
		_, err := os.Stat(path)
		if err != nil {
			_, err = os.Stat(path + ".pub") // the agent may have its private half
		}
		return err == nil
	}
	if f.conf.IdentityFiles == nil {
		return slices.DeleteFunc(slices.Clone(f.UsualKeys), func(path string) bool { return !there(path) })
	}
	var found, absent []string
	for _, path := range f.conf.IdentityFiles {
		if path = f.path(path); there(path) {
			found = append(found, path)
		} else {
			absent = append(absent, path)
		}
	}
	for _, path := range absent {
		if len(found) > 0 {
			f.minor("IdentityFile", path, "there is no such file")
		} else {
			f.warn("IdentityFile", path, "there is no such file")
		}
	}
	return found
}

// certificates fills in those for keys that lie elsewhere. ssh takes no notice
// of one that belongs to no key.
func (f *filling) certificates() {
	if len(f.said.Certificates) > 0 {
		return
	}
	for _, path := range f.conf.CertificateFiles {
		path = f.path(path)
		if _, err := os.Stat(path); err != nil {
			f.warn("CertificateFile", path, "there is no such file")
			continue
		}
		f.host.Certificates = append(f.host.Certificates, keys.CertificateFile{Path: path, Optional: true})
	}
}

// hostKeys fills in what is known of the server. Nothing makes an unknown key
// a known one.
func (f *filling) hostKeys() {
	c := f.conf
	f.host.HostKeyAlias = c.HostKeyAlias
	if mode := c.StrictHostKeyChecking; mode == "no" || mode == "accept-new" {
		f.warn("StrictHostKeyChecking", mode, "an unknown host key is never trusted by itself: pin it, or add it to known_hosts after comparing")
	}
	if len(f.said.KnownHosts) > 0 {
		return
	}
	files := func(set, usual []string) []keys.KnownHostsFile {
		if set == nil {
			return knownHosts(usual, false)
		}
		var all []string
		for _, path := range set {
			all = append(all, f.path(path))
		}
		return knownHosts(all, false)
	}
	f.trust.Files = append(files(c.UserKnownHostsFiles, f.KnownHosts), files(c.GlobalKnownHostsFiles, f.GlobalKnownHosts)...)
}

// algorithms fills in the lists. One of the past that a list names counts as
// named in legacy.
func (f *filling) algorithms() error {
	h, c := f.host, f.conf
	h.MinRSA = c.RequiredRSASize
	var old []string
	for _, l := range []struct {
		keyword, list string
		use           keys.Use
		to            *[]string
	}{
		{"KexAlgorithms", c.KexAlgorithms, keys.ForKeyExchange, &h.Algorithms.KeyExchanges},
		{"Ciphers", c.Ciphers, keys.ForCipher, &h.Algorithms.Ciphers},
		{"MACs", c.MACs, keys.ForMAC, &h.Algorithms.MACs},
		{"HostKeyAlgorithms", c.HostKeyAlgorithms, keys.ForHostKey, &h.Algorithms.HostKeys},
		{"PubkeyAcceptedAlgorithms", c.PubkeyAcceptedAlgorithms, keys.ForLogin, &h.Algorithms.PublicKeys},
		{"CASignatureAlgorithms", c.CASignatureAlgorithms, keys.ForCASignature, &f.trust.CASignatures},
	} {
		if l.list == "" {
			// What another list names of the past is not meant for this one.
			*l.to = keys.Default(l.use, f.said.Legacy...)
			continue
		}
		choice := keys.Choose(l.use, l.list, f.said.Legacy...)
		if len(choice.Names) == 0 {
			return f.wrong(l.keyword, "%q leaves no algorithm that linehaul has", some([]string{l.list})).
				WithHint("linehaul has %s", strings.Join(keys.Default(l.use), ", "))
		}
		if len(choice.Missing) > 0 {
			f.warn(l.keyword, some(choice.Missing), "linehaul has nothing of that name")
		}
		if len(choice.Vague) > 0 {
			f.warn(l.keyword, some(choice.Vague), "an algorithm of the past is not brought back by a pattern: write its name")
		}
		*l.to = choice.Names
		old = append(old, choice.Old...)
	}
	if len(old) > 0 {
		h.Legacy = slices.DeleteFunc(keys.LegacyNames(), func(name string) bool {
			return !slices.Contains(f.said.Legacy, name) && !slices.Contains(old, name)
		})
		f.trust.Legacy = h.Legacy
	}
	return nil
}

// some lists names for a warning.
func some(names []string) string {
	const longest = 200 // bytes of one name
	var all []string
	for _, n := range names[:min(len(names), maxListed)] {
		if len(n) > longest {
			n = strings.ToValidUTF8(n[:longest], "") + "…"
		}
		all = append(all, n)
	}
	if more := len(names) - maxListed; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// methods fills in the ways to log in.
func (f *filling) methods() error {
	list := f.conf.PreferredAuthentications
	if list == "" {
		return nil
	}
	var missing []string
	for name := range strings.SplitSeq(list, ",") {
		switch name {
		case "publickey", "password", "keyboard-interactive":
			if !slices.Contains(f.host.Methods, name) {
				f.host.Methods = append(f.host.Methods, name)
			}
		case "none", "":
		default:
			missing = append(missing, name)
		}
	}
	if len(f.host.Methods) == 0 {
		return f.wrong("PreferredAuthentications", "%q leaves no way to log in that linehaul has", some([]string{list})).
			WithHint("linehaul has publickey, password and keyboard-interactive")
	}
	if len(missing) > 0 {
		f.warn("PreferredAuthentications", some(missing), "linehaul has no such way to log in")
	}
	return nil
}

// jump makes the hosts on the way, each of which is looked up in the same file.
// As with ssh, the first of them may have a ProxyJump of its own, and is the
// only one for which that counts.
func (f *filling) jump(way []string) (*remote.Host, error) {
	hops := f.conf.ProxyJump
	if len(hops)+len(way)-1 > maxHops {
		return nil, f.wrong("ProxyJump", "more than %d hosts on the way", maxHops)
	}
	var via *remote.Host
	for i, hop := range hops {
		name := hop.String()
		if slices.Contains(way, name) {
			return nil, f.wrong("ProxyJump", "the hosts lead in a circle: %s -> %s", strings.Join(way, " -> "), name).
				WithHint("put `ProxyJump none` into a block for `Host %s`, above the one that has the ProxyJump", hop.Host)
		}
		said := &config.Host{
			Name: hop.Host, User: hop.User, Port: cmp.Or(hop.Port, 22), SSHConfig: f.said.SSHConfig,
			Given: map[string]bool{
				"port": hop.Port != 0, "connect_timeout": f.said.Given["connect_timeout"],
				"stall_timeout": f.said.Given["stall_timeout"], "keepalive": f.said.Given["keepalive"],
			},
			// Its keys are files of ours too, and a passphrase goes nowhere; the
			// password is another server's.
			Passphrase: f.said.Passphrase, KnownHosts: f.said.KnownHosts, IdentitiesOnly: true,
			ConnectTimeout: f.said.ConnectTimeout, StallTimeout: f.said.StallTimeout, Keepalive: f.said.Keepalive,
		}
		if i > 0 {
			said.Jump = hops[i-1].Host // it stands in for a ProxyJump of its own
		}
		h, err := f.Place.host(said, append(slices.Clone(way), name))
		if err == nil && h.User == "" {
			err = noUser(said)
		}
		if err != nil {
			return nil, err
		}
		if i > 0 {
			h.Jump = via
		}
		via = h
	}
	return via, nil
}
