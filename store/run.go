package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"linehaul/receipt"
)

// State is how a run is or ended.
type State string

// The states.
const (
	Waiting     State = "waiting" // in the queue: nobody has begun it, or who had is gone
	Running     State = "running"
	OK          State = "ok"
	Warning     State = "warning"
	Failed      State = "failed"
	Skipped     State = "skipped"
	Missed      State = "missed" // a firing that came too late to be made up for
	Interrupted State = "interrupted"
)

// Run is one execution of a job. Numbers of files count those of all attempts.
type Run struct {
	ID      string    `json:"id"`
	Job     string    `json:"job"`
	Host    string    `json:"host,omitempty"`
	Trigger string    `json:"trigger,omitempty"` // "schedule" or "hand"
	Nominal time.Time `json:"nominal,omitzero"`  // the instant that the schedule named
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // zero: it runs, or nobody saw it end

	State State  `json:"state"`
	Code  int    `json:"code"` // the exit code of its result
	Layer string `json:"layer,omitempty"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`

	Attempts []Attempt `json:"attempts,omitempty"`
	// Files are the first MaxFiles, and MoreFiles says how many there are
	// beside: EachFile has all of them.
	Files     []File `json:"files,omitempty"`
	MoreFiles int    `json:"more_files,omitempty"`
	Matched   int    `json:"matched"`
	Moved     int    `json:"moved"`
	Failed    int    `json:"failed"`
	Skipped   int    `json:"skipped"`
	// Reconnects is how often a connection broke and the transfer went on.
	Reconnects int   `json:"reconnects,omitempty"`
	Bytes      int64 `json:"bytes"`             // of the files moved
	Removed    int   `json:"removed,omitempty"` // old copies that were in the target, and what a mirror has deleted there

	// Way is receipt.Get or receipt.Put, Address what was dialled and HostKey what
	// the server showed there, at the last login.
	Way     string   `json:"way,omitempty"`
	Address string   `json:"address,omitempty"`
	HostKey *HostKey `json:"host_key,omitempty"`

	// Link is what carried the run, where its host has a link.
	Link *Link `json:"link,omitempty"`

	// Line is what its connections had to do to get the bytes through.
	Line *Line `json:"line,omitempty"`

	// PutOff is how often and since when checks have said that it is not the time.
	PutOff *PutOff `json:"put_off,omitempty"`
	// Checks are what was found before it, by the last attempt that looked.
	Checks *Checks `json:"checks,omitempty"`

	// Progress is how far it is, as far as that was noted: of a run that is
	// read and has not ended.
	Progress *Progress `json:"progress,omitempty"`

	Node    string `json:"node,omitempty"`    // the machine that ran it, among those that share the record
	Through string `json:"through,omitempty"` // the link that its host has
	Lane    string `json:"lane,omitempty"`    // of the queue, where not any machine may run it

	Root    string `json:"root,omitempty"` // the local folder that files land below
	LogPath string `json:"log_path,omitempty"`
	Version string `json:"version,omitempty"` // of linehaul
	PID     int    `json:"pid,omitempty"`

	// Take counts the processes that the queue has handed the run to, from 1; 0:
	// it came to this one without the queue.
	Take int `json:"take,omitempty"`
	// Queued is whether the queue hands the run to another process if this one
	// dies.
	Queued bool `json:"queued,omitempty"`

	// Task is what the queue knows of the run besides, in its own words.
	Task json.RawMessage `json:"task,omitempty"`
	// Writers are the names under which its unfinished files lie, one for each
	// process that had the run, the last one's last.
	Writers []string `json:"writers,omitempty"`

	// Receipt is the place of its receipt in the chain: of a run that is read and
	// has ended.
	Receipt *receipt.Place `json:"receipt,omitempty"`

	more func(do func(File) error) error // reads MoreFiles
	lies string                          // the path of the file with MoreFiles, of a run that no store keeps

	gathered bool // MoreFiles are what was noted of it
}

// HostKey is a server's key, as it was accepted.
type HostKey struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"` // SHA256:..., of a certificate that of its key
}

// Link is the tunnel that carried a run, and what of the run went through it: the
// bytes of its own connections inside of the tunnel, which are those of SSH.
type Link struct {
	Name     string   `json:"name"`
	SPIs     []string `json:"spis"` // of the ESP SAs: in/out, the oldest first
	Sent     int64    `json:"sent"`
	Received int64    `json:"received"`
}

// LineRates is the attachment of a run with what Line sums up, as it went on:
// a list of preflight.Rate.
const LineRates = "line"

// Line is what the TCP connections of a run told of themselves while it went
// on, all of them together. Of what is not known it has 0 and says so.
type Line struct {
	By          string `json:"by"` // who counted: ByTheSystem or ByTheTunnel
	Connections int    `json:"connections"`
	Samples     int    `json:"samples"` // from which the round trips are

	RTTMS    float64 `json:"rtt_ms"`     // the median of round trips, each smoothed over some
	RTT95MS  float64 `json:"rtt_p95_ms"` // their 95th percentile
	MinRTTMS float64 `json:"min_rtt_ms"` // the shortest single one

	Sent        uint64  `json:"sent"`   // segments, by this side
	Resent      uint64  `json:"resent"` // of these, those that were sent again
	ResentShare float64 `json:"resent_share"`

	// What the far end sends again nobody here can count. What is lost on its
	// way here shows as segments that come out of order: all of those that
	// come until the lost one is sent again, which are far more than are lost.
	OutOfOrder uint64 `json:"out_of_order"`

	SentBytes     uint64 `json:"sent_bytes"`
	ReceivedBytes uint64 `json:"received_bytes"`

	// Unknown are the names of the fields above that nobody could tell.
	Unknown []string `json:"unknown,omitempty"`
}

// Outward reports whether more went to the far end than came from there: then
// it is Resent that tells of losses, else OutOfOrder.
func (l *Line) Outward() bool { return l.SentBytes > l.ReceivedBytes }

// Retransmitted is ResentShare in percent, as in 0.8%.
func (l *Line) Retransmitted() string {
	digits := 1
	if l.ResentShare > 0 && l.ResentShare < 0.0005 {
		digits = 3
	}
	return strconv.FormatFloat(l.ResentShare*100, 'f', digits, 64) + "%"
}

// Knows reports whether a field of the record was not Unknown.
func (l *Line) Knows(field string) bool { return !slices.Contains(l.Unknown, field) }

// Who counted. What a tunnel's own TCP has sent is counted in bytes, and
// segments are made of them.
const (
	ByTheSystem = "the system"
	ByTheTunnel = "the tunnel"
)

// PutOff is how a run waited for its checks.
type PutOff struct {
	Times  int       `json:"times"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"` // the last
}

// Checks is what the checks before a run found, in short: the whole is attached
// to the run. Times are in milliseconds.
type Checks struct {
	Verdict string `json:"verdict"` // ok, warn or fail
	Layer   string `json:"layer,omitempty"`
	Summary string `json:"summary"`

	Sent     int     `json:"sent,omitempty"` // echoes; 0: there were none, and nothing is known of the line
	Loss     float64 `json:"loss"`           // of them, from 0 to 1
	MedianMS float64 `json:"median_ms,omitempty"`
	P95MS    float64 `json:"p95_ms,omitempty"`
	JitterMS float64 `json:"jitter_ms,omitempty"`
	Hops     int     `json:"hops,omitempty"` // to the host; 0: not known
}

// Attempt is one try within a run.
type Attempt struct {
	Number  int       `json:"number"` // from 1
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Code    int       `json:"code"`
	Layer   string    `json:"layer,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// File is one file that a run moved or tried to.
type File struct {
	Source   string    `json:"source"` // empty of what was deleted
	Target   string    `json:"target"`
	Kind     string    `json:"kind,omitempty"` // "folder" or "link"; empty of a file
	Bytes    int64     `json:"bytes"`
	MTime    time.Time `json:"mtime,omitzero"`
	SHA256   string    `json:"sha256,omitempty"`   // hexadecimal
	Verified string    `json:"verified,omitempty"` // how it was held against its source
	Resumed  int64     `json:"resumed,omitempty"`  // bytes of it that an earlier attempt had moved
	Seconds  float64   `json:"seconds"`
	Error    string    `json:"error,omitempty"`   // empty: it was moved
	Deleted  bool      `json:"deleted,omitempty"` // at the target
	Gone     string    `json:"gone,omitempty"`    // what deleted it there: GoneByMirror, GoneByRetention

	// After is what became of the source then, where the job asks for
	// something: "deleted", "moved", "kept" or "failed". For the last two
	// there is a reason.
	After       string `json:"after,omitempty"`
	AfterTarget string `json:"after_target,omitempty"` // where it was moved to
	AfterReason string `json:"after_reason,omitempty"`
	// Path is the one below the source's leading folders, and Listed the size
	// that the source was found with, if that is not Bytes: where the job moves
	// its sources.
	Path   string `json:"path,omitempty"`
	Listed *int64 `json:"listed,omitempty"`

	// Take and Node are of a file that an earlier process of the run has moved: in
	// which of its takes, and on which machine, if that is another than the run's.
	Take int    `json:"take,omitempty"`
	Node string `json:"node,omitempty"`

	place int // in a FileList
}

// What deletes at the target.
const (
	GoneByMirror    = "mirror"    // the source has none
	GoneByRetention = "retention" // it was an old copy
)

// WriterIDs are the names under which the run's unfinished files may lie.
func (r Run) WriterIDs() []string {
	if len(r.Writers) == 0 {
		return []string{r.ID}
	}
	return r.Writers
}

// Writer is the name under which those of this process lie.
func (r Run) Writer() string {
	ids := r.WriterIDs()
	return ids[len(ids)-1]
}

// Summary says in one line how a run is or ended: the state and, where
// something went wrong, the layer and the error.
func (r Run) Summary() string {
	parts := []string{string(r.State)}
	for _, s := range []string{r.Layer, r.Error} {
		if s != "" && s != string(r.State) {
			parts = append(parts, s)
		}
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.Join(parts, ": "))
}

// maxJob is how long the name of a job may be, in bytes.
const maxJob = 64

// checkJob refuses names that the configuration refuses too.
func checkJob(job string) error {
	ok := job != "" && len(job) <= maxJob && !strings.ContainsAny(job[:1], "._-") && !strings.HasSuffix(job, ".")
	for _, c := range []byte(job) {
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	if !ok || !filepath.IsLocal(job) { // on Windows, a device is not
		return fmt.Errorf("%q is not the name of a job", job)
	}
	return nil
}

// check refuses a run that cannot be stored.
func (r Run) check() error {
	if _, err := RunTime(r.ID); err != nil {
		return err
	}
	if err := checkJob(r.Job); err != nil {
		return err
	}
	if r.State == "" {
		return fmt.Errorf("run %s has no state", r.ID)
	}
	return nil
}

// encodeRecord is a run as the database has it.
func encodeRecord(r Run) (string, error) {
	r.Receipt = nil // it has a place of its own
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(r)
	return b.String(), err
}

// encode is a run as people read it.
func encode(r Run) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return b.Bytes(), err
}

// decode reads what encode wrote, by this or another version: fields that it
// does not know are left out.
func decode(b []byte) (Run, error) {
	var r Run
	if err := json.Unmarshal(b, &r); err != nil {
		return Run{}, err
	}
	if err := r.check(); err != nil {
		return Run{}, err
	}
	return r, nil
}
