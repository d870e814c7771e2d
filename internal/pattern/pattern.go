// Package pattern matches host names as OpenSSH does, in known_hosts and in
// its client configuration alike (ssh_config(5), PATTERNS).
//
// The package imports the standard library only.
package pattern

import "strings"

// Match matches a whole name, where * stands for any number of bytes and ? for
// one. Brackets have no meaning of their own, and case counts. It takes at most
// len(pattern) times len(name) steps.
func Match(pattern, name string) bool {
	p, n := 0, 0
	star, from := -1, 0 // where the last * is, and where its match ends
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Lower lowers A to Z only. Host names and keywords know no other letters, and
// strings.ToLower would make one name of several.
func Lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
