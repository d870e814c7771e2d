package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"linehaul/fault"
)

// Version is of the form that Seal writes. It goes up with any change of the
// form, since a reader takes no field that it does not know.
const Version = 1

// Bounds of what is written. Longer texts are cut, so that a run never stays
// without its receipt for what a server says.
const (
	maxText  = 4 << 10 // bytes of what an error or a check says
	maxShort = 1 << 10 // bytes of any other text
	maxSPI   = 64      // bytes
	maxSPIs  = 64      // of one receipt
)

// MaxHead bounds a head that is read, in bytes. What Seal makes is shorter: a byte
// of a text becomes six at most.
const MaxHead = 256 << 10

// Ways of a run, seen from this machine.
const (
	Get = "get" // targets are local
	Put = "put" // sources are local
)

// A Head says of a run what there is to say in short. Texts are those of the run's
// record. Times are kept in UTC.
type Head struct {
	Version int   `json:"receipt"` // filled in by Seal, as the next two
	Seq     int64 `json:"seq"`
	Prev    Hash  `json:"prev"`

	Run     string    `json:"run"`
	Job     string    `json:"job"`
	Trigger string    `json:"trigger,omitempty"`
	Nominal time.Time `json:"nominal,omitzero"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Node    string    `json:"node,omitempty"`     // whose disk has the local files
	Program string    `json:"linehaul,omitempty"` // version of linehaul

	Way     string   `json:"way,omitempty"` // Get or Put
	Host    string   `json:"host,omitempty"`
	Address string   `json:"address,omitempty"` // that was dialled
	HostKey *HostKey `json:"host_key,omitempty"`
	Link    *Link    `json:"link,omitempty"`
	Checks  *Checks  `json:"checks,omitempty"`

	State string `json:"state"`
	Code  int    `json:"code"` // the exit code
	Layer string `json:"layer,omitempty"`
	Error string `json:"error,omitempty"`

	Attempts int   `json:"attempts"`
	Matched  int   `json:"matched"`
	Moved    int   `json:"moved"`
	Failed   int   `json:"failed"`
	Skipped  int   `json:"skipped"`
	Removed  int   `json:"removed"`
	Bytes    int64 `json:"bytes"`

	Files Files `json:"files"`
}

// HostKey is the server's key, as it was accepted.
type HostKey struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"` // SHA256:...
}

// Link is the tunnel or VPN that carried the run.
type Link struct {
	Name string   `json:"name"`
	SPIs []string `json:"spis,omitempty"` // of the ESP SAs: in/out, the oldest first; the last 64
}

// Checks are what was found before the run.
type Checks struct {
	Verdict string `json:"verdict"`
	Layer   string `json:"layer,omitempty"`
	Summary string `json:"summary,omitempty"`
}

// Files is the head's word on the list.
type Files struct {
	Lines  int64 `json:"lines"`
	SHA256 Hash  `json:"sha256"`
}

// A Sealed is a receipt's head as it is stored: its line without the line feed,
// its number and its hash. The hash belongs into the record of the run.
type Sealed struct {
	Place
	Text string
}

// Seal makes the receipt that follows another one; the zero Place for the first.
// Two that are made after the same one exclude each other: whoever stores them
// asks for the last one and stores the next in one transaction.
func Seal(h Head, after Place) (Sealed, error) {
	h = tidy(h)
	h.Version, h.Seq, h.Prev = Version, after.Seq+1, after.Hash
	if err := h.check(); err != nil {
		return Sealed{}, fault.New(fault.Internal, "make the receipt of run %q: %w", h.Run, err)
	}
	text, err := encode(h)
	if err != nil {
		return Sealed{}, fault.New(fault.Internal, "make the receipt of run %q: %w", h.Run, err)
	}
	return Sealed{Place{h.Seq, HashOf(text)}, text}, nil
}

// tidy brings a head into the form in which it is written. The caller's own is
// left as it was.
func tidy(h Head) Head {
	for _, s := range []*string{&h.Run, &h.Job, &h.Trigger, &h.Node, &h.Program, &h.Way, &h.Host, &h.Address, &h.State, &h.Layer} {
		*s = cut(*s, maxShort)
	}
	h.Error = cut(h.Error, maxText)
	for _, t := range []*time.Time{&h.Nominal, &h.Started, &h.Ended} {
		*t = plain(*t)
	}
	if k := h.HostKey; k != nil {
		h.HostKey = &HostKey{cut(k.Type, maxShort), cut(k.Fingerprint, maxShort)}
	}
	if l := h.Link; l != nil {
		own := &Link{Name: cut(l.Name, maxShort)}
		for _, spi := range l.SPIs[max(0, len(l.SPIs)-maxSPIs):] {
			own.SPIs = append(own.SPIs, cut(spi, maxSPI))
		}
		h.Link = own
	}
	if c := h.Checks; c != nil {
		h.Checks = &Checks{cut(c.Verdict, maxShort), cut(c.Layer, maxShort), cut(c.Summary, maxText)}
	}
	return h
}

// cut makes a text UTF-8, and shortens one of more than most bytes.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= most {
		return s
	}
	const more = "..."
	n := most - len(more)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + more
}

// plain is a time as JSON can hold it: in UTC, and none of a year that RFC 3339
// does not know.
func plain(t time.Time) time.Time {
	t = t.Round(0).UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return time.Time{}
	}
	return t
}

// check refuses what is no receipt.
func (h Head) check() error {
	switch {
	case h.Version != Version:
		return fmt.Errorf("it is of version %d, and not %d", h.Version, Version)
	case h.Seq < 1:
		return fmt.Errorf("its number is %d", h.Seq)
	case h.Seq == 1 && h.Prev != Hash{}:
		return errors.New("it is the first one, and follows another")
	case h.Run == "":
		return errors.New("it is of no run")
	case h.State == "":
		return errors.New("it has no state")
	case h.Way != "" && h.Way != Get && h.Way != Put:
		return fmt.Errorf("its way is %q", h.Way)
	case h.Way == "" && h.Files.Lines > 0:
		return errors.New("it has files, and does not say which way they went")
	case h.Files.Lines < 0:
		return fmt.Errorf("its list has %d lines", h.Files.Lines)
	}
	return nil
}

// errNewer is of a receipt that a newer version has written.
var errNewer = errors.New("a newer version of linehaul has written it")

// Decode reads a head, which is given without its line feed. It takes what Seal
// makes and nothing else: other spaces, another order or a field that is not known
// are refused. Of a receipt of a newer version it returns Version, Seq, Prev and
// Run, which are in every version, and an error for which Newer is true.
func Decode(text string) (Head, error) {
	if len(text) > MaxHead {
		return Head{}, fmt.Errorf("it has more than %d bytes", MaxHead)
	}
	var basic struct {
		Version int    `json:"receipt"`
		Seq     int64  `json:"seq"`
		Prev    Hash   `json:"prev"`
		Run     string `json:"run"`
	}
	if err := json.Unmarshal([]byte(text), &basic); err != nil {
		return Head{}, err
	}
	if basic.Version > Version && basic.Seq > 0 {
		return Head{Version: basic.Version, Seq: basic.Seq, Prev: basic.Prev, Run: basic.Run}, errNewer
	}
	var h Head
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return Head{}, err
	}
	if err := h.check(); err != nil {
		return Head{}, err
	}
	if again, err := encode(tidy(h)); err != nil || again != text {
		return Head{}, errors.New("it is not in the form in which receipts are written")
	}
	return h, nil
}

// Newer reports whether an error of Decode says that a newer version of linehaul
// has written the receipt.
func Newer(err error) bool { return errors.Is(err, errNewer) }

// encode writes v as one line, without the line feed.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read this
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
