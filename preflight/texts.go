package preflight

import (
	"fmt"

	"linehaul/fault"
)

// A Text is one verdict that a check may come to.
type Text struct {
	Code    string // unique
	Verdict Verdict
	Layer   fault.Kind // to blame; Internal: none
	Format  string     // of fmt, with what was measured
	Hint    string     // the next step; empty: there is nothing to do
}

// Codes that every check may end with.
const (
	codeSkipped = "skipped"
	codeStopped = "stopped"
	codeLate    = "late"
)

// Texts are all verdicts of all checks, in the order of the checks. None says
// that something is well that was not seen.
func Texts() []Text {
	const none = fault.Internal
	return []Text{
		{codeSkipped, Skipped, none, "because %s failed", ""},
		{codeStopped, Skipped, none, "stopped before: %v", ""},
		{codeLate, Unknown, none, "did not come to an end in time", "run it alone, as in `linehaul check --only %s`"},

		{"name-address", OK, none, "%s is an address", ""},
		{"name-found", OK, none, "%s is %s, says %s after %s", ""},
		{"name-unknown", Fail, fault.Name, "there is no host %s, says %s", "check the spelling of the name, or give the IP address; a name of an inner network may need its own DNS server"},
		{"name-no-answer", Fail, fault.Name, "no answer for %s: %s", "the DNS server of this machine does not answer, or cannot say: check the network and its settings, or give the IP address"},
		{"name-mute", Fail, fault.Name, "no answer for %s through the tunnel: %s", "the name server behind the link does not answer: name another one with `dns` of the link, or give the IP address"},
		{"name-nowhere", Fail, fault.Name, "%s is %s, which is no host's address", "a filter or a broken DNS server answers so: ask another one, or give the IP address"},
		{"name-beyond", Fail, fault.Name, "%s is %s, says %s behind the link, which is not in the networks of the link", "the record at that name server is wrong, or the link's `networks` lack that network; nothing is sent around the link"},
		{"name-outside", Fail, fault.Name, "%s is %s, which is not in the networks of the link", "another DNS server answers than the one behind the link: set `dns` on the link or give the inner address, or add the network to the link's `networks`"},

		{"link-direct", OK, none, "%s", ""},
		{"link-route", OK, none, "%s, as the link wants", ""},
		{"link-tunnel", OK, none, "the tunnel to %s is up: %s", ""},
		{"link-carries", OK, none, "the tunnel to %s is up, a round trip to %s inside takes %s: %s", ""},
		{"link-none", Fail, fault.Route, "this machine has no route to %s: %s", "check that the network or the VPN is up on this machine"},
		{"link-other", Fail, fault.Route, "%s", "the VPN of the link is down, or its routes are gone: bring it up; nothing is sent around it"},
		{"link-down", Fail, fault.IKE, "the tunnel does not come up: %s", "`linehaul tunnel up LINK -v` shows the exchange; `linehaul check LINK` looks at the way to the gateway"},
		{"link-login", Fail, fault.GatewayLogin, "the gateway refuses the login: %s", "check the identities and secrets of the link against the gateway's configuration"},
		{"link-empty", Fail, fault.ESP, "the tunnel carries nothing: %s", "check the networks of the link and the gateway's policy"},

		{"ping-well", OK, none, "%d of %d answered, median %s, jitter %s", ""},
		{"ping-lost", Warn, fault.Route, "%d of %d answered: %s lost, median %s", "`linehaul check --trace` shows where the loss begins"},
		{"ping-loss", Fail, fault.Route, "%s lost of %d, and %s are allowed", "`linehaul check --trace` shows where the loss begins; `max_loss` is the limit"},
		{"ping-slow", Fail, fault.Route, "a round trip takes %s in the median, and %s are allowed", "`linehaul check --trace` shows where the time goes; `max_rtt` is the limit"},
		{"ping-uneven", Fail, fault.Route, "the jitter is %s, and %s are allowed", "something on the way has a queue: `linehaul check --trace --watch` shows where; `max_jitter` is the limit"},
		{"ping-refused", Fail, fault.Route, "no echo of %d came back: %s", "who says so has no way to the host: check the routes there, or the VPN behind it"},
		{"ping-astray", Fail, fault.Route, "ended after %d echoes: %s", "the VPN of the link went down meanwhile: bring it up; nothing is sent around it"},
		{"ping-filtered", Unknown, none, "cannot tell: none of %d answered, and yet %s is open, so that ICMP is filtered", ""},
		{"ping-silent", Unknown, none, "cannot tell: none of %d answered, which may be a filter for ICMP", "ask for a port beside it, or look where packets end with `linehaul check --trace --tcp`"},
		{"ping-rights", Unknown, none, "cannot tell: %s", "it takes %s"},
		{"ping-nobody", Unknown, none, "cannot tell: %s does not answer, and there need be no host", ""},
		{"ping-failed", Unknown, none, "cannot tell: %s", ""},

		{"port-open", OK, none, "%s is open, after %s", ""},
		{"port-refused", Fail, fault.TCP, "%s is closed: %s refuses it", "the host is there and nothing listens: check that the server runs, and that the port is right"},
		{"port-filtered", Fail, fault.TCP, "%s does not answer, and nobody says why", "a firewall drops it, or the host is down: `linehaul check --trace --tcp` shows how far packets come"},
		{"port-silent", Fail, fault.TCP, "%s does not answer through the tunnel, and nobody says why", "a firewall behind the gateway or at the host drops it, or the host is down: ask who looks after them"},
		{"port-prohibited", Fail, fault.TCP, "%s is forbidden, says %s", "a firewall there forbids it: ask who looks after it"},
		{"port-no-route", Fail, fault.Route, "there is no way to %s, says %s", "who says so has no route there, or the host is down in its network"},
		{"port-answers", OK, none, "%s answers: %s", ""},
		{"port-closed", Fail, fault.TCP, "%s is closed, says %s", "the host is there and nothing listens on that UDP port"},
		{"port-untold", Unknown, none, "%s is open or filtered: nothing came back", "UDP tells no more than that, where the program behind the port does not answer what it does not know"},
		{"port-failed", Unknown, none, "cannot tell: %s", ""},

		{"trace-reached", OK, none, "%d %s to the host by %s", ""},
		{"trace-loss", Fail, fault.Route, "loss begins at hop %d (%s): %s there, and %s at the host", "that router or the line before it loses packets: show this to whoever runs it"},
		{"trace-ends", Fail, fault.Route, "by %[3]s, nobody answers behind hop %[1]d (%[2]s)", "packets end there, or answers do: a firewall, a missing route, or a host that does not answer this kind of probe"},
		{"trace-first", Fail, fault.Route, "by %s, nobody answers, not even the first router", "the next hop of this machine is down, or it answers nothing: check cable, gateway and VPN"},
		{"trace-said", Fail, fault.Route, "hop %d (%s) says: %s", "that router forbids it or has no route: show this to whoever runs it"},
		{"trace-rights", Unknown, none, "cannot tell: %s", ""},
		{"trace-inside", Skipped, none, "a tunnel is one hop: `linehaul check LINK --trace` traces the way to its gateway", ""},
		{"trace-failed", Unknown, none, "cannot tell: %s", ""},

		{"mtu-whole", OK, none, "packets of %d bytes pass", ""},
		{"mtu-less", OK, none, "packets of up to %d bytes pass, and %s says so to larger ones", ""},
		{"mtu-inside", OK, none, "packets of %d bytes pass inside of the tunnel", ""},
		{"mtu-hole", Fail, fault.Route, "a black hole: packets of up to %d bytes pass, larger ones vanish, and nobody says so", "transfers begin and then stall: have ICMP let through on the way, or set the MTU of this machine's interface to %d"},
		{"mtu-unsure", Unknown, none, "cannot tell for sure: packets of %d bytes pass, and too many are lost to say of larger ones", ""},
		{"mtu-refused", Unknown, none, "cannot tell: no echo is answered; %s", ""},
		{"mtu-hole-link", Warn, fault.ESP, "a black hole inside of the tunnel: packets of up to %d bytes pass, larger ones vanish", "the tunnel has been told; `mtu: %d` on the link says it from the beginning"},
		{"mtu-hole-stays", Fail, fault.ESP, "a black hole inside of the tunnel: packets of up to %d bytes pass, larger ones vanish, and the tunnel cannot be told: %v", "transfers begin and then stall: have larger packets let through, on the way to the gateway or behind it"},
		{"mtu-silent", Unknown, none, "cannot tell: no echo is answered, not even a small one", ""},
		{"mtu-rights", Unknown, none, "cannot tell: %s", "it takes %s"},
		{"mtu-failed", Unknown, none, "cannot tell: %s", ""},

		{"ssh-known", OK, none, "%s, host key %s is the known one", ""},
		{"ssh-login", OK, none, "%s, host key known, logged in as %s", ""},
		{"ssh-no-server", Fail, fault.SSH, "%s", "check that address and port are those of an SSH server, and that it accepts modern algorithms"},
		{"ssh-mute", Fail, fault.Stall, "the port is open, and the server says nothing", "a firewall or a server that is overloaded holds the connection: look at the server, or at large packets with `linehaul check --mtu`"},
		{"ssh-key-unknown", Fail, fault.HostKeyUnknown, "%s", "compare the fingerprint with the server's administrator, then add it to `host_keys` or to known_hosts"},
		{"ssh-key-changed", Fail, fault.HostKeyChanged, "%s", "the server was set up anew, somebody stands in between, or the name leads to another host: ask its administrator before you change what is known"},
		{"ssh-refused", Fail, fault.Login, "%s", "check the user name, and that the public half of the key is in the server's authorized_keys"},
		{"ssh-own-key", Fail, fault.Key, "%s", "check the key file with `linehaul keys show FILE`; an encrypted one needs `passphrase`"},
		{"ssh-lost", Fail, fault.TCP, "%s", "the connection was not made, or broke in the middle: look at the line with `linehaul check --trace --mtu`"},

		{"space-enough", OK, none, "%s free in %s, and it can be written", ""},
		{"space-short", Fail, fault.LocalDisk, "%s free in %s, and %s are needed", "make room on that disk, or choose another target"},
		{"space-full", Fail, fault.LocalDisk, "%s is full", "make room on that disk, or choose another target"},
		{"space-inodes", Fail, fault.LocalDisk, "%d %s may still be made in %s, and %d are needed", "remove files there, or make a file system with more inodes"},
		{"space-forbidden", Fail, fault.LocalDisk, "%s", "let the account that linehaul runs as write there, or choose another target"},
		{"space-untold", Unknown, none, "%s can be written; how much room there is, the server does not say", ""},
		{"space-failed", Unknown, none, "cannot tell: %s", ""},

		{"clock-equal", OK, none, "the server's clock is %s", ""},
		{"clock-off", Fail, fault.RemoteFile, "the server's clock is %s", "set the clocks by NTP: dates in names and the record of what was pulled go by them"},
		{"clock-failed", Unknown, none, "cannot tell: %s", ""},
	}
}

// verdict is the finding that a text stands for, with its arguments. Those of a
// text whose hint has verbs are the last of them.
func verdict(check, code string, args ...any) Finding {
	for _, t := range Texts() {
		if t.Code != code {
			continue
		}
		f := Finding{Check: check, Verdict: t.Verdict, Code: code, Hint: t.Hint}
		if t.Layer != fault.Internal {
			f.Layer = t.Layer.String()
		}
		n := verbs(t.Format)
		f.Text = fmt.Sprintf(t.Format, args[:min(n, len(args))]...)
		if verbs(t.Hint) > 0 {
			f.Hint = fmt.Sprintf(t.Hint, args[min(n, len(args)):]...)
		}
		return f
	}
	panic("preflight: no text " + code)
}

// verbs counts those of a format.
func verbs(format string) int {
	n := 0
	for i := 0; i+1 < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		if format[i+1] != '%' {
			n++
		}
		i++
	}
	return n
}
