package pageant

import (
	"slices"
	"strings"
	"testing"
)

const hash = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"

func TestPageantPipes(t *testing.T) {
	all := []string{
		"lsass", "openssh-ssh-agent", "pageant", "pageant.", "pageant..", "pageant.jephe",
		"pageant.zoe." + hash,
		"pageant.jephe." + hash,
		"pageant.Jephe." + hash[1:] + "0",
		"pageant.jephe.g" + hash[1:],
		"pageant.jephe." + hash[1:],
		"pageant.jephe." + hash + "0",
		"pageant.jephe." + strings.ToUpper(hash),
		"pageant.." + hash,
		"pageant." + hash,
		"Pageant.jephe." + hash,
		"xpageant.jephe." + hash,
		"pageant.ann.smith." + hash,
	}
	got := pageantPipes(all, "jephe")
	want := []string{
		`\\.\pipe\pageant.Jephe.` + hash[1:] + "0",
		`\\.\pipe\pageant.jephe.` + hash,
		`\\.\pipe\pageant.ann.smith.` + hash,
		`\\.\pipe\pageant.zoe.` + hash,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if user, ok := pageantUser("pageant.ann.smith." + hash); user != "ann.smith" || !ok {
		t.Errorf("got %q, %v", user, ok)
	}
	if got := pageantPipes(slices.Repeat(all, 100), "nobody"); len(got) != maxPipes {
		t.Errorf("%d pipes, want %d", len(got), maxPipes)
	}
	if got := pageantPipes(nil, ""); len(got) != 0 {
		t.Errorf("got %q of nothing", got)
	}
}

func TestPipeName(t *testing.T) {
	const agent = `\\.\pipe\openssh-ssh-agent`
	for where, want := range map[string]string{
		agent:                        agent,
		`//./pipe/openssh-ssh-agent`: agent,
		`\\.\PIPE\openssh-ssh-agent`: agent,
		`\\.\pipe\a b..c`:            `\\.\pipe\a b..c`,
		`\\.\pipe\`:                  "",
		`\\.\pipe\..`:                "",
		`\\.\pipe\..\C:\Users\key`:   "",
		`\\.\pipe\a/b`:               "",
		`\\server\pipe\agent`:        "",
		`\\?\pipe\agent`:             "",
		`/run/user/1000/agent`:       "",
		`C:\Users\jephe\agent.sock`:  "",
		`agent`:                      "",
		``:                           "",
		"\\\\.\\pipe\\a\x00b":        "",
	} {
		got, ok := PipeName(where)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", where, got, ok, want)
		}
	}
}

func TestOwners(t *testing.T) {
	const me, other = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002"
	tests := []struct {
		name        string
		id          identity
		owner       string
		own, system bool
	}{
		{"mine", identity{sid: me}, me, true, true},
		{"another user's", identity{sid: me}, other, false, false},
		{"another user's, for an administrator", identity{sid: me, elevated: true}, other, false, false},
		{"an administrator's", identity{sid: me}, administratorsSID, false, true},
		{"an administrator's, for one", identity{sid: me, elevated: true}, administratorsSID, true, true},
		{"the system's", identity{sid: me, elevated: true}, systemSID, false, true},
		{"the system's, for the system", identity{sid: systemSID, elevated: true}, systemSID, true, true},
		{"nobody's", identity{sid: me}, "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.id.ownPipe(tt.owner); got != tt.own {
				t.Errorf("a pipe of Pageant's: got %v, want %v", got, tt.own)
			}
			if got := tt.id.systemPipe(tt.owner); got != tt.system {
				t.Errorf("a pipe of OpenSSH's: got %v, want %v", got, tt.system)
			}
		})
	}
}
