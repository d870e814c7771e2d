package netns

// Rules of nft(8) take a match, as in "tcp dport 22" or "icmp type
// echo-request". They are about what comes to a host and what goes through it;
// Mute is about what the host itself sends. Allow takes all of them away.

// firewall is the table that rules are put into, made if it is not there.
const firewall = `add table inet lab
add chain inet lab rules
add chain inet lab input { type filter hook input priority 0; }
add chain inet lab forward { type filter hook forward priority 0; }
add chain inet lab output { type filter hook output priority 0; }
flush chain inet lab input
flush chain inet lab forward
add rule inet lab input jump rules
add rule inet lab forward jump rules
`

func (h *Host) rule(chain, rule string) {
	h.t.Helper()
	if err := h.feed(firewall+"add rule inet lab "+chain+" "+rule+"\n", "nft", "-f", "-"); err != nil {
		h.t.Fatal(err)
	}
}

// Drop drops what matches, in silence.
func (h *Host) Drop(match string) { h.t.Helper(); h.rule("rules", match+" drop") }

// Reset answers what matches, which is to be TCP, with a reset.
func (h *Host) Reset(match string) {
	h.t.Helper()
	h.rule("rules", match+" meta l4proto tcp reject with tcp reset")
}

// Prohibit answers what matches with ICMP: administratively prohibited.
func (h *Host) Prohibit(match string) {
	h.t.Helper()
	h.rule("rules", match+" reject with icmpx admin-prohibited")
}

// Limit drops what matches above a rate, as in "10/second".
func (h *Host) Limit(match, rate string) {
	h.t.Helper()
	h.rule("rules", match+" limit rate over "+rate+" burst 1 packets drop")
}

// Mute has the host not send what matches.
func (h *Host) Mute(match string) { h.t.Helper(); h.rule("output", match+" drop") }

// MuteAbove has the host not send more than a rate of what matches, as
// routers do with ICMP errors.
func (h *Host) MuteAbove(match, rate string) {
	h.t.Helper()
	h.rule("output", match+" limit rate over "+rate+" burst 1 packets drop")
}

// Allow takes all rules away.
func (h *Host) Allow() {
	h.t.Helper()
	if err := h.feed("add table inet lab\ndelete table inet lab\n", "nft", "-f", "-"); err != nil {
		h.t.Fatal(err)
	}
}
