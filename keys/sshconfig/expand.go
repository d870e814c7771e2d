package sshconfig

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"linehaul/internal/pattern"
)

// delim takes a word off s as ssh does for keywords and Match: it ends at
// white space or one =, and may be quoted. It fails if a quote is not closed.
func delim(s string) (word, rest string, ok bool) {
	const space = " \t\r\n"
	i := strings.IndexAny(s, space+`"=`)
	if i < 0 {
		return s, "", true
	}
	if s[i] == '"' {
		inner, after, closed := strings.Cut(s[i+1:], `"`)
		return s[:i] + inner, strings.TrimLeft(after, space), closed
	}
	rest = strings.TrimLeft(s[i+1:], space)
	if s[i] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], space)
	}
	return s[:i], rest, true
}

// words splits arguments: at blanks, with quotes of both kinds, with \ before
// a quote, a \ or, outside quotes, a blank; # at the start of a word ends the
// line. It fails if a quote is not closed.
func words(s string) (args []string, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return args, true
		}
		var word strings.Builder
		var quote byte
		i := 0
	scan:
		for ; i < len(s); i++ {
			switch b := s[i]; {
			case b == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || (quote == 0 && s[i+1] == ' ')):
				i++
				word.WriteByte(s[i])
			case quote == 0 && (b == ' ' || b == '\t'):
				break scan
			case quote == 0 && (b == '"' || b == '\''):
				quote = b
			case quote != 0 && b == quote:
				quote = 0
			default:
				word.WriteByte(b)
			}
		}
		if quote != 0 {
			return nil, false
		}
		args = append(args, word.String())
		s = s[i:]
	}
}

// parseHops reads ProxyJump: none, or [user@]host[:port] and
// ssh://[user@]host[:port], separated by commas.
func parseHops(s string) ([]Hop, error) {
	hops := []Hop{}
	if strings.EqualFold(s, "none") {
		return hops, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		h, ok := parseHop(part)
		if !ok {
			return nil, fmt.Errorf("%q is not [user@]host[:port]", part)
		}
		hops = append(hops, h)
	}
	return hops, nil
}

func parseHop(s string) (h Hop, ok bool) {
	s, uri := strings.CutPrefix(s, "ssh://")
	if uri {
		s = strings.TrimSuffix(s, "/")
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		h.User, s = s[:i], s[i+1:]
		if uri {
			h.User, _, _ = strings.Cut(h.User, ";") // connection parameters
			var err error
			if h.User, err = url.PathUnescape(h.User); err != nil {
				return h, false
			}
		}
		if h.User == "" {
			return h, false
		}
	}
	var port string
	if inner, bracket := strings.CutPrefix(s, "["); bracket {
		if h.Host, port, ok = strings.Cut(inner, "]"); !ok || (port != "" && port[0] != ':') {
			return h, false
		}
		port = strings.TrimPrefix(port, ":")
	} else {
		h.Host, port, _ = strings.Cut(s, ":")
	}
	if port != "" {
		n, err := parsePort(port)
		if err != nil {
			return h, false
		}
		h.Port = n
	}
	return h, h.valid()
}

// valid refuses names that a program or a log could take for something else.
func (h Hop) valid() bool {
	return h.Host != "" && len(h.Host) <= maxName && h.Host[0] != '-' && !strings.HasPrefix(h.User, "-") &&
		!strings.ContainsAny(h.Host, "/@\"'` \t\\")
}

// String returns user@host:port, an IPv6 address in brackets.
func (h Hop) String() string {
	s := h.Host
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if h.User != "" {
		s = h.User + "@" + s
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(h.Port)
	}
	return s
}

// user returns the remote user as far as it is known by now.
func (r *reader) user() string {
	if r.c.User != "" {
		return r.c.User
	}
	return r.o.LocalUser
}

// hostName returns the host to connect to as far as it is known by now.
func (r *reader) hostName() (string, error) {
	if r.hostname.text == "" {
		return r.q.Host, nil
	}
	host, err := expand(r.hostname.text, map[byte]string{'h': r.q.Host}, nil)
	if err == nil && (host == "" || len(host) > maxName) {
		err = errors.New("the name is empty or too long")
	}
	if err != nil {
		return "", r.hostname.at.wrong("HostName: %s", err)
	}
	return host, nil
}

// finish expands the values when all of them are known.
func (r *reader) finish() error {
	c := r.c
	// ssh looks the alias up in lower case.
	c.HostKeyAlias = pattern.Lower(c.HostKeyAlias)
	tokens := r.tokens()
	jump := map[byte]string{'h': tokens['h'], 'n': tokens['n'], 'p': tokens['p'], 'r': tokens['r']}
	for i, h := range c.ProxyJump {
		var errUser, errHost error
		h.User, errUser = expand(h.User, jump, nil)
		h.Host, errHost = expand(h.Host, jump, nil)
		if err := errors.Join(errUser, errHost); err != nil || !h.valid() {
			return c.origin["proxyjump"].wrong("ProxyJump: %q does not expand to a host", c.ProxyJump[i])
		}
		c.ProxyJump[i] = h
	}
	var err error
	if c.IdentityFiles, err = r.paths("IdentityFile", r.identities, tokens); err != nil {
		return err
	}
	if c.CertificateFiles, err = r.paths("CertificateFile", r.certs, tokens); err != nil {
		return err
	}
	if c.UserKnownHostsFiles, err = r.paths("UserKnownHostsFile", r.userHosts, tokens); err != nil {
		return err
	}
	c.GlobalKnownHostsFiles, err = r.paths("GlobalKnownHostsFile", r.globalHosts, nil)
	if err != nil {
		return err
	}
	return r.finishAgent(tokens)
}

// tokens returns the tokens of ssh_config(5), TOKENS, that paths take.
func (r *reader) tokens() map[byte]string {
	c := r.c
	port := "22"
	if c.Port != 0 {
		port = strconv.Itoa(c.Port)
	}
	var hops []string
	for _, h := range c.ProxyJump {
		hops = append(hops, h.String())
	}
	alias := c.HostKeyAlias
	if alias == "" {
		alias = r.q.Host
	}
	short, _, _ := strings.Cut(r.o.LocalHost, ".")
	t := map[byte]string{
		'd': r.o.Home, 'h': c.HostName, 'i': r.o.LocalUID, 'j': strings.Join(hops, ","), 'k': alias, 'L': short,
		'l': r.o.LocalHost, 'n': r.q.Host, 'p': port, 'r': r.user(), 'u': r.o.LocalUser,
	}
	sum := sha1.Sum([]byte(t['l'] + t['h'] + t['p'] + t['r'] + t['j']))
	t['C'] = hex.EncodeToString(sum[:])
	return t
}

// paths expands a list of paths, without the word none; with nil tokens it
// takes them as written. It returns nil if there is no list.
func (r *reader) paths(word string, list []located, tokens map[byte]string) ([]string, error) {
	if list == nil {
		return nil, nil
	}
	paths := []string{}
	for _, l := range list {
		if strings.EqualFold(l.text, "none") {
			continue
		}
		path := l.text
		if tokens != nil {
			var err error
			if path, err = r.path(l.text, tokens); err != nil {
				return nil, l.at.wrong("%s: %s", word, err)
			}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// finishAgent finds out which agent is meant.
func (r *reader) finishAgent(tokens map[byte]string) error {
	s := r.agent.text
	name, variable := strings.CutPrefix(s, "$")
	variable = variable && !strings.HasPrefix(name, "{")
	switch {
	case s == "" || s == "none":
		r.c.IdentityAgent = s
	case s == "SSH_AUTH_SOCK" || variable:
		path, _ := r.o.Getenv(name)
		if path == "" { // then ssh goes without an agent
			path = "none"
		}
		r.c.IdentityAgent = path
	default:
		path, err := r.path(s, tokens)
		if err != nil {
			return r.agent.at.wrong("IdentityAgent: %s", err)
		}
		r.c.IdentityAgent = path
	}
	return nil
}

// path expands everything that a path may hold.
func (r *reader) path(s string, tokens map[byte]string) (string, error) {
	prefix, rest, err := r.tilde(s)
	if err != nil {
		return "", err
	}
	rest, err = expand(rest, tokens, r.o.Getenv)
	return prefix + rest, err
}

// tilde takes ~/ off s, and returns the home folder that it stands for.
func (r *reader) tilde(s string) (prefix, rest string, err error) {
	if s == "" || s[0] != '~' {
		return "", s, nil
	}
	end := 1
	for end < len(s) && s[end] != '/' && !os.IsPathSeparator(s[end]) {
		end++
	}
	if name := s[1:end]; name != "" && name != r.o.LocalUser {
		return "", "", fmt.Errorf("the home folder of user %q is not looked up: write the path out", name)
	}
	if r.o.Home == "" {
		return "", "", errors.New("there is no home folder that ~ could stand for")
	}
	return r.o.Home + "/", strings.TrimLeft(s[end:], "/"), nil
}

// expand replaces %x by tokens and, with getenv, ${NAME} by variables. A value
// that it puts in is not expanded again.
func expand(s string, tokens map[byte]string, getenv func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case getenv != nil && strings.HasPrefix(s[i:], "${"):
			name, _, closed := strings.Cut(s[i+2:], "}")
			if !closed || name == "" {
				return "", errors.New("${ wants a name and a }")
			}
			value, ok := getenv(name)
			if !ok {
				return "", fmt.Errorf("the environment has no variable %q", name)
			}
			b.WriteString(value)
			i += len("${}") + len(name) - 1
		case s[i] == '%':
			i++
			if i == len(s) {
				return "", errors.New("a single % ends the value: write %% for one")
			}
			value, ok := tokens[s[i]]
			if s[i] == '%' {
				value, ok = "%", true
			}
			if !ok {
				return "", fmt.Errorf("there is no token %q here", s[i-1:i+1])
			}
			b.WriteString(value)
		default:
			b.WriteByte(s[i])
		}
		if b.Len() > maxLine {
			return "", fmt.Errorf("the value is longer than %d bytes", maxLine)
		}
	}
	return b.String(), nil
}
