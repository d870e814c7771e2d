package sshconfig

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"linehaul/internal/pattern"
)

// A keyword is what is done with one: take it, or note that nothing is.
type keyword struct {
	name string // in lower case; of an alias, what it stands for
	adds bool   // values add up; otherwise the first one counts
	// take checks the arguments. It returns what keeps them, or nil if they
	// count as not given.
	take func(args []string) (keep func(), err error)

	why     string // it is not taken
	matters bool
	secret  bool     // the value is not for other eyes
	idle    []string // values that ask for nothing
}

// keywords returns all that ssh knows, and Apple's addition to it.
func (r *reader) keywords() map[string]keyword {
	c := r.c
	table := map[string]keyword{
		// These have a meaning of their own; see line.
		"host": {}, "match": {}, "include": {},

		"ignoreunknown":            {take: text(&r.ignored)},
		"hostname":                 {take: r.place(&r.hostname)},
		"user":                     {take: text(&c.User)},
		"port":                     {take: number(&c.Port, parsePort)},
		"identityfile":             {take: r.add(&r.identities), adds: true},
		"certificatefile":          {take: r.add(&r.certs), adds: true},
		"identitiesonly":           {take: flag(&c.IdentitiesOnly)},
		"identityagent":            {take: r.place(&r.agent)},
		"proxyjump":                {take: r.jump},
		"userknownhostsfile":       {take: r.hostFiles(&r.userHosts)},
		"globalknownhostsfile":     {take: r.hostFiles(&r.globalHosts)},
		"hostkeyalias":             {take: text(&c.HostKeyAlias)},
		"connecttimeout":           {take: duration(&c.ConnectTimeout)},
		"serveraliveinterval":      {take: duration(&c.ServerAliveInterval)},
		"serveralivecountmax":      {take: number(&c.ServerAliveCountMax, parseCount)},
		"ciphers":                  {take: text(&c.Ciphers)},
		"macs":                     {take: text(&c.MACs)},
		"kexalgorithms":            {take: text(&c.KexAlgorithms)},
		"hostkeyalgorithms":        {take: text(&c.HostKeyAlgorithms)},
		"pubkeyacceptedalgorithms": {take: text(&c.PubkeyAcceptedAlgorithms)},
		"casignaturealgorithms":    {take: text(&c.CASignatureAlgorithms)},
		"requiredrsasize":          {take: number(&c.RequiredRSASize, parseCount)},
		"preferredauthentications": {take: text(&c.PreferredAuthentications)},
		"bindaddress":              {take: text(&c.BindAddress)},
		"compression":              {take: flag(&c.Compression)},
		"addressfamily": {take: choice(&c.AddressFamily, map[string]string{
			"any": "any", "inet": "inet", "inet6": "inet6"})},
		"stricthostkeychecking": {take: choice(&c.StrictHostKeyChecking, map[string]string{
			"yes": "yes", "true": "yes", "no": "no", "false": "no", "off": "no", "ask": "ask", "accept-new": "accept-new"})},

		"proxycommand": {why: "no command is run to connect: name a host in ProxyJump, or use a link", matters: true, secret: true, idle: []string{"none"}},
	}
	for _, g := range notTaken() {
		for name := range strings.FieldsSeq(g.names) {
			table[name] = g.keyword
		}
	}
	for name, k := range table {
		k.name = name
		table[name] = k
	}
	for alias, name := range map[string]string{
		"pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms", "identityfile2": "identityfile",
		"challengeresponseauthentication": "kbdinteractiveauthentication", "skeyauthentication": "kbdinteractiveauthentication",
		"dsaauthentication": "pubkeyauthentication", "keepalive": "tcpkeepalive",
		"hostbasedkeytypes": "hostbasedacceptedalgorithms", "smartcarddevice": "pkcs11provider",
	} {
		table[alias] = table[name]
	}
	return table
}

// A group is keywords that are not taken for the same reason.
type group struct {
	keyword
	names string
}

func notTaken() []group {
	off := []string{"no", "false", "none"}
	on := []string{"yes", "true"}
	return []group{
		{keyword{why: "host names are not looked up to complete them: write the whole name", matters: true, idle: off},
			"canonicalizehostname"},
		{keyword{why: "it completes CanonicalizeHostname", idle: off},
			"canonicaldomains canonicalizefallbacklocal canonicalizemaxdots canonicalizepermittedcnames"},
		{keyword{why: "no command is run to find host keys", matters: true, secret: true, idle: off},
			"knownhostscommand"},
		{keyword{why: "what is trusted comes from known_hosts files and pins alone", matters: true, idle: off},
			"revokedhostkeys verifyhostkeydns nohostauthenticationforlocalhost"},
		{keyword{why: "the address to connect from can be given, not the interface", matters: true},
			"bindinterface"},
		{keyword{why: "keys come from files and agents: add the token's keys to an agent", matters: true, idle: append(off, "internal")},
			"pkcs11provider securitykeyprovider"},
		{keyword{why: "the machine's own key is not used to log in", matters: true, idle: off},
			"hostbasedauthentication"},
		{keyword{why: "a connection is made all the same", matters: true},
			"refuseconnection"},
		{keyword{why: "a host that has keys logs in with them", matters: true, idle: append(on, "unbound", "host-bound")},
			"pubkeyauthentication"},
		{keyword{why: "a password that is configured is used", idle: on},
			"passwordauthentication kbdinteractiveauthentication"},
		{keyword{why: "there is no login with Kerberos", idle: off},
			"gssapiauthentication gssapidelegatecredentials gssapikeyexchange gssapiclientidentity gssapiserveridentity " +
				"gssapirenewalforcesrekey gssapitrustdns gssapikexalgorithms"},
		{keyword{why: "nobody is asked, and nothing is added to known_hosts or an agent", idle: off},
			"batchmode numberofpasswordprompts kbdinteractivedevices hostbasedacceptedalgorithms enablesshkeysign checkhostip " +
				"updatehostkeys hashknownhosts visualhostkey fingerprinthash addkeystoagent usekeychain"},
		{keyword{why: "no command is run beside the transfer", secret: true, idle: off},
			"localcommand permitlocalcommand remotecommand"},
		{keyword{why: "nothing is passed on to the server's environment", secret: true, idle: off},
			"sendenv setenv"},
		{keyword{why: "linehaul has its own way for it", idle: off},
			"connectionattempts loglevel logverbose syslogfacility rekeylimit ipqos controlmaster controlpath controlpersist " +
				"proxyusefdpass channeltimeout tag versionaddendum warnweakcrypto"},
		{keyword{why: "linehaul has its own way for it", idle: on},
			"tcpkeepalive"},
		{keyword{why: "a transfer of files has no terminal and no forwarding", idle: off},
			"clearallforwardings dynamicforward enableescapecommandline escapechar exitonforwardfailure forkafterauthentication " +
				"forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports localforward obscurekeystroketiming " +
				"permitremoteopen remoteforward requesttty sessiontype stdinnull streamlocalbindmask streamlocalbindunlink tunnel " +
				"tunneldevice xauthlocation"},
		{keyword{why: "ssh itself has no use for it any more"},
			"afstokenpassing cipher compressionlevel fallbacktorsh globalknownhostsfile2 kerberosauthentication kerberostgtpassing " +
				"protocol rhostsauthentication rhostsrsaauthentication rsaauthentication tisauthentication useprivilegedport " +
				"useroaming userknownhostsfile2 usersh"},
	}
}

// noteOption notes a keyword that is not taken, unless it asks for nothing.
func (r *reader) noteOption(word string, key keyword, args []string) error {
	value := strings.Join(args, " ")
	if slices.Contains(key.idle, pattern.Lower(value)) {
		return nil
	}
	switch key.name {
	case "proxycommand":
		if len(r.c.ProxyJump) > 0 { // which counts, as it came first
			return nil
		}
	case "canonicalizehostname":
		r.wantFinal = true
	}
	n := Note{Keyword: word, Value: shorten(value), Why: key.why, Matters: key.matters}
	switch {
	case !key.secret:
	case strings.HasSuffix(key.name, "command"):
		n.Value = program(value)
	default:
		n.Value = ""
	}
	return r.note(n)
}

// program returns the first word of a command. The others may hold secrets.
func program(command string) string {
	word, rest, _ := strings.Cut(strings.TrimLeft(command, " \t"), " ")
	if rest != "" {
		rest = " …"
	}
	return shorten(word) + rest
}

// shorten bounds what a note quotes.
func shorten(s string) string {
	if len(s) > maxValue {
		return strings.ToValidUTF8(s[:maxValue], "") + "…"
	}
	return s
}

// one returns the only argument.
func one(args []string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", errors.New("a value is missing")
	}
	if len(args) > 1 {
		return "", errors.New("there are words after the value")
	}
	return args[0], nil
}

func text(to *string) func([]string) (func(), error) {
	return func(args []string) (func(), error) {
		s, err := one(args)
		return func() { *to = s }, err
	}
}

func choice(to *string, words map[string]string) func([]string) (func(), error) {
	return func(args []string) (func(), error) {
		s, err := one(args)
		if err != nil {
			return nil, err
		}
		value, ok := words[pattern.Lower(s)]
		if !ok {
			return nil, fmt.Errorf("there is no such choice as %q", s)
		}
		return func() { *to = value }, nil
	}
}

func flag(to *bool) func([]string) (func(), error) {
	var word string
	pick := choice(&word, map[string]string{"yes": "yes", "true": "yes", "no": "no", "false": "no"})
	return func(args []string) (func(), error) {
		keep, err := pick(args)
		return func() { keep(); *to = word == "yes" }, err
	}
}

func number(to *int, parse func(string) (int, error)) func([]string) (func(), error) {
	return func(args []string) (func(), error) {
		s, err := one(args)
		if err != nil {
			return nil, err
		}
		n, err := parse(s)
		return func() { *to = n }, err
	}
}

func parseCount(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a count", s)
	}
	return int(n), nil
}

// parsePort reads a port. ssh looks other names up as well; the one that is
// used in earnest is its own.
func parsePort(s string) (int, error) {
	if s == "ssh" {
		return 22, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > math.MaxUint16 {
		return 0, fmt.Errorf("%q is not a port", s)
	}
	return n, nil
}

// duration reads times as in sshd_config(5), TIME FORMATS. The word none
// counts as not given.
func duration(to *time.Duration) func([]string) (func(), error) {
	return func(args []string) (func(), error) {
		s, err := one(args)
		if err != nil || s == "none" {
			return nil, err
		}
		total := int64(0)
		for rest := s; rest != ""; {
			digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
			n, err := strconv.ParseInt(rest[:digits], 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%q is not a time", s)
			}
			unit := int64(1)
			if rest = rest[digits:]; rest != "" {
				i := strings.IndexByte("smhdw", rest[0]|0x20)
				if i < 0 {
					return nil, fmt.Errorf("%q is not a time", s)
				}
				unit = []int64{1, 60, 3600, 24 * 3600, 7 * 24 * 3600}[i]
				rest = rest[1:]
			}
			if total += n * unit; total > math.MaxInt32 {
				return nil, fmt.Errorf("%q is too long a time", s)
			}
		}
		return func() { *to = time.Duration(total) * time.Second }, nil
	}
}

// place keeps a value that is expanded at the end.
func (r *reader) place(to *located) func([]string) (func(), error) {
	return func(args []string) (func(), error) {
		s, err := one(args)
		return func() { *to = located{s, r.at} }, err
	}
}

// add keeps one more of such values, each once.
func (r *reader) add(to *[]located) func([]string) (func(), error) {
	return func(args []string) (func(), error) {
		s, err := one(args)
		if err == nil && len(*to) >= maxKeys {
			err = fmt.Errorf("there are more than %d", maxKeys)
		}
		return func() {
			if !slices.ContainsFunc(*to, func(l located) bool { return l.text == s }) {
				*to = append(*to, located{s, r.at})
			}
		}, err
	}
}

// hostFiles keeps the names of known_hosts files.
func (r *reader) hostFiles(to *[]located) func([]string) (func(), error) {
	return func(args []string) (func(), error) {
		none := func(s string) bool { return strings.EqualFold(s, "none") }
		switch {
		case len(args) == 0 || slices.Contains(args, ""):
			return nil, errors.New("a file name is empty or missing")
		case len(args) > 1 && slices.ContainsFunc(args, none):
			return nil, errors.New("none stands alone")
		case len(args) > maxHosts:
			return nil, fmt.Errorf("there are more than %d files", maxHosts)
		}
		return func() {
			for _, s := range args {
				*to = append(*to, located{s, r.at})
			}
		}, nil
	}
}

// jump keeps the hosts on the way. An earlier ProxyCommand outweighs them,
// and so does an earlier "ProxyCommand none".
func (r *reader) jump(args []string) (func(), error) {
	s, err := one(args)
	if err != nil {
		return nil, err
	}
	hops, err := parseHops(s)
	if _, command := r.c.origin["proxycommand"]; command {
		return nil, err
	}
	return func() { r.c.ProxyJump = hops }, err
}
