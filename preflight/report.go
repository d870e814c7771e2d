package preflight

import (
	"net/netip"
	"time"

	"linehaul/preflight/ping"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/port"
	"linehaul/preflight/trace"
)

// A Verdict is what came of one check.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Warn    Verdict = "warn"
	Fail    Verdict = "fail"
	Skipped Verdict = "skipped" // because of what another check found, or nobody asked for it
	Unknown Verdict = "unknown" // it cannot tell
)

// A Report is what the checks of one subject found.
type Report struct {
	Subject string    `json:"subject"`          // as in "hk1", "nightly-db" or "10.20.0.5:22"
	Link    string    `json:"link,omitempty"`   // the way, if it is not direct
	Target  string    `json:"target,omitempty"` // the address and port that the checks are about
	Jump    string    `json:"jump,omitempty"`   // the jump host that this is of, if the way leads through one
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Version string    `json:"version,omitempty"` // of linehaul
	System  string    `json:"system,omitempty"`  // as in "linux/amd64"

	// Verdict is the worst of the findings: Fail, Warn or OK. Layer is the one
	// to blame, as package fault names it; Summary says it in one line, and
	// Next is what to do about it.
	Verdict Verdict `json:"verdict"`
	Layer   string  `json:"layer,omitempty"`
	Summary string  `json:"summary"`
	Next    string  `json:"next,omitempty"`

	Findings []Finding `json:"findings"`

	// Compared says what is other than in the report of an earlier run, Before.
	Before   string   `json:"before,omitempty"`
	Compared []string `json:"compared,omitempty"`
	// Log is what the tunnel logged while a run failed.
	Log []string `json:"log,omitempty"`

	// Transfer is how fast bytes moved, if there was a transfer.
	Transfer *Transfer `json:"transfer,omitempty"`
}

// A Finding is what one check found. Of the measurements there is the one that
// the check makes, if it came to one.
type Finding struct {
	Check   string  `json:"check"` // as in "ping"; see Names
	Verdict Verdict `json:"verdict"`
	Code    string  `json:"code"` // which of the texts it is, as in "port-refused"
	Layer   string  `json:"layer,omitempty"`
	Text    string  `json:"text"`
	Hint    string  `json:"hint,omitempty"` // what to do about it
	TookMS  float64 `json:"took_ms"`

	Name  *Name          `json:"name,omitempty"`
	Link  *Link          `json:"link,omitempty"`
	Ping  *ping.Series   `json:"ping,omitempty"`
	Ports []port.Result  `json:"ports,omitempty"`
	Trace []*trace.Trace `json:"trace,omitempty"`
	MTU   []*pmtu.Result `json:"mtu,omitempty"` // outside of the tunnel, and inside
	SSH   *SSH           `json:"ssh,omitempty"`
	Space *Space         `json:"space,omitempty"`
	Clock *Clock         `json:"clock,omitempty"`
}

// Name is what a name resolves to.
type Name struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	Server    string       `json:"server"` // who said so: an address, or "the system"
	TookMS    float64      `json:"took_ms"`
}

// Link is the way that packets take from here.
type Link struct {
	Kind      string     `json:"kind"` // direct, route or ipsec
	Interface string     `json:"interface,omitempty"`
	Source    netip.Addr `json:"source,omitzero"`
	Via       netip.Addr `json:"via,omitzero"` // the next hop
	// Of a tunnel: the gateway's name and the address that it is at, the SAs as
	// `tunnel status` shows them, and how long a round trip inside takes, to whom.
	Gateway string         `json:"gateway,omitempty"`
	Remote  netip.AddrPort `json:"remote,omitzero"`
	SAs     []string       `json:"sas,omitempty"`
	RTTMS   float64        `json:"rtt_ms,omitempty"`
	Inside  netip.Addr     `json:"inside,omitzero"`
}

// SSH is what a server says before and at the login.
type SSH struct {
	Banner     string   `json:"banner"`
	Offers     []string `json:"offers,omitempty"` // key exchanges that it offers
	KeyTypes   []string `json:"key_types,omitempty"`
	HostKey    string   `json:"host_key"` // SHA256:…
	HostKeyIs  string   `json:"host_key_is"`
	RoundTrips int      `json:"round_trips"` // how often the server was waited for, until its key was there; 0: not known
	TookMS     float64  `json:"took_ms"`
	LoggedIn   string   `json:"logged_in,omitempty"` // as whom
}

// Space is the room in a folder that files are about to land in.
type Space struct {
	Folder    string `json:"folder"`
	Free      int64  `json:"free"`            // bytes that we may use; -1: not known
	Inodes    int64  `json:"inodes"`          // that are free; -1: not known, or the file system has no limit
	Needed    int64  `json:"needed"`          // bytes; -1: not known
	NeedFiles int64  `json:"needed_files"`    // -1: not known
	Written   bool   `json:"written"`         // a file was made and removed there
	Where     string `json:"where,omitempty"` // "here", or the host
}

// Clock is how far the server's clock is from ours.
type Clock struct {
	OffsetMS float64 `json:"offset_ms"` // positive: the server is ahead
	WithinMS float64 `json:"within_ms"` // the offset may be wrong by as much
}

// Transfer is what a transfer measured as it went.
type Transfer struct {
	Rates []Rate `json:"rates"`
}

// A Rate is how much was moved between the one before it and itself.
type Rate struct {
	AtMS  float64 `json:"at_ms"` // from the beginning of the transfer on
	Bytes int64   `json:"bytes"` // that were moved by then
	RTTMS float64 `json:"rtt_ms,omitempty"`
	// Resent of Sent are the segments sent again by then, by this side.
	Sent   uint64 `json:"sent,omitempty"`
	Resent uint64 `json:"resent,omitempty"`
}
