// Package stamp writes dates, times and names into the names of files: the
// stamps in a job's destination and in the names of logs.
//
//	{date}            20261123
//	{time}            142530
//	{date:%Y-%m}      any strftime format; {time:...} means the same
//	{date-1d}         shifted; see below
//	{name}            the source file's name: dump.sql.gz
//	{stem}, {ext}     dump.sql and .gz, so {stem}{ext} is {name}; all of .bashrc is stem
//	{path}            the source's path below the fixed part of its pattern, with its name
//	{mtime}           20261123-142530, from the source's modification time; takes format and shifts
//	{job} {host} {run}
//	{{ and }}         braces
//	%TIMESTAMP-1D#yyyymmdd%   as WinSCP has it
//
// All stamps of one run come from one instant in the job's time zone, and none
// depends on the locale.
//
// # Shifts
//
// A shift is + or -, a number and a unit, and several may follow one another,
// done from left to right: {date-1mo+1d}. The units are y, mo, w, d, h, m (for
// minutes) and s. Hours, minutes and seconds are real time. The others go by
// the calendar and leave the time of day as it is, also over a change of the
// clock; where the clock skips that time, it is written as if it had not. A
// month or year without such a day gives its last day: one month before
// 31 March is 28 or 29 February.
//
// # Characters
//
// What a date makes never holds a character that some file system refuses:
// < > : " | ? * \ and control characters become -, so {time:%H:%M} is 14-25.
// A / in a format stands for a folder, as in {date:%Y/%m}. In {job}, {host}
// and {run}, / becomes - as well. Names and paths come from a server: they are
// inserted as they are, for package transfer to check.
//
// # Reading names back
//
// A Matcher finds the instant and the source that a name was made from, for
// those who look after the copies that earlier runs have made.
//
// # Formats
//
// github.com/ncruces/go-strftime does the formatting, in the C locale. Parse
// accepts what POSIX has, less %n and %t, which no name should hold, and less
// the E and O of other locales; and of the extensions %k, %l, %P, %L, %f and
// %N (milli-, micro- and nanoseconds), %s, and - for no padding, as in %-d.
package stamp

import (
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

// Values are what stamps are replaced by. What a template does not use may be
// left empty.
type Values struct {
	At   time.Time // the run's one instant, in the job's time zone
	Job  string    // the job's name
	Host string    // the host, as the configuration or command line has it
	Run  string    // the run's id

	Name  string    // the source file's name
	Path  string    // its slash-separated path below the source's fixed part, with its name
	MTime time.Time // its modification time, which is shown in the location of At
}

// A Template is text with stamps. It is immutable and safe for concurrent use.
type Template struct {
	source string
	parts  []part
}

// A part is a piece of literal text or one stamp.
type part struct {
	source string // as it stands in the template
	text   string // literal text; unused in a stamp

	stamp  stamp
	shifts []shift
	format string // strftime
}

// stamp says what a part is replaced by.
type stamp int

const (
	literal   stamp = iota // not replaced
	date                   // At; also for {time} and %TIMESTAMP%
	mtime                  // MTime
	name                   // Name
	stem                   // Name without its extension
	extension              // the extension of Name, with its dot
	path                   // Path
	job                    // Job
	host                   // Host
	run                    // Run
)

// String returns the text that the template was parsed from.
func (t *Template) String() string { return t.source }

// PerFile reports whether the template gives another result for another file:
// whether it uses name, stem, ext, path or mtime.
func (t *Template) PerFile() bool { return slices.ContainsFunc(t.parts, part.perFile) }

// Fixed reports whether the template has no stamp, so that it always gives the
// same result. A log under such a name is appended to.
func (t *Template) Fixed() bool {
	return !slices.ContainsFunc(t.parts, func(p part) bool { return p.stamp != literal })
}

func (p part) perFile() bool {
	switch p.stamp {
	case mtime, name, stem, extension, path:
		return true
	default:
		return false
	}
}

// Split divides the template at the last path separator that stands before the
// first per-file stamp, or at the last of all if there is no such stamp. The
// separator stays with dir, which is empty if there is none. So dir is the
// same for all files of a run, and rest names one file below it. Separators
// within a stamp do not count; on Windows, \ is one as well as /.
func (t *Template) Split(windows bool) (dir, rest *Template) {
	separators := "/"
	if windows {
		separators = `/\`
	}
	end := len(t.parts)
	if i := slices.IndexFunc(t.parts, part.perFile); i >= 0 {
		end = i
	}
	for i, p := range slices.Backward(t.parts[:end]) {
		if p.stamp != literal {
			continue
		}
		if cut := strings.LastIndexAny(p.source, separators) + 1; cut > 0 {
			before := append(slices.Clone(t.parts[:i]), literalPart(p.source[:cut]))
			var after []part
			if cut < len(p.source) {
				after = append(after, literalPart(p.source[cut:]))
			}
			return newTemplate(before), newTemplate(append(after, t.parts[i+1:]...))
		}
	}
	return newTemplate(nil), t
}

func newTemplate(parts []part) *Template {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.source)
	}
	return &Template{source: b.String(), parts: parts}
}

// literalPart makes a part of source text that holds no stamp.
func literalPart(source string) part {
	return part{source: source, text: strings.NewReplacer("{{", "{", "}}", "}").Replace(source)}
}

// Expand returns the template with its stamps replaced. It fails with kind
// RemoteFile if a name or path from the server holds a character that cannot
// be in one, or a modification time is not known or out of all reason; with
// kind Config if shifts lead out of the years 1 to 9999; and with kind Internal
// if another value that the template needs is missing.
func (t *Template) Expand(v Values) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		text, err := p.expand(v)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func (p part) expand(v Values) (string, error) {
	switch p.stamp {
	case date:
		if v.At.IsZero() {
			return "", p.missing()
		}
		return p.expandTime(v.At, v.At.Location(), fault.Config)
	case mtime:
		if v.MTime.IsZero() {
			return "", fault.New(fault.RemoteFile, "%s: the modification time of %q is not known", p.source, v.Path)
		}
		return p.expandTime(v.MTime, v.At.Location(), fault.RemoteFile)
	case path:
		return p.checked(v.Path, "\x00")
	case name:
		return p.checked(v.Name, "\x00/")
	case stem, extension:
		if _, err := p.checked(v.Name, "\x00/"); err != nil {
			return "", err
		}
		dot := extensionAt(v.Name)
		if p.stamp == stem {
			return v.Name[:dot], nil
		}
		return v.Name[dot:], nil // empty for a name without one
	case job:
		return p.ours(v.Job)
	case host:
		return p.ours(v.Host)
	case run:
		return p.ours(v.Run)
	default:
		return p.text, nil
	}
}

// checked returns a name or path of the server, unless it is empty or holds a
// refused character.
func (p part) checked(s, refused string) (string, error) {
	if s == "" {
		return "", p.missing()
	}
	if strings.ContainsAny(s, refused) {
		return "", fault.New(fault.RemoteFile, "%s: %q cannot be the name of a file", p.source, s)
	}
	return s, nil
}

// ours returns a name from the configuration, fit for one element of a path.
func (p part) ours(s string) (string, error) {
	if s == "" {
		return "", p.missing()
	}
	return safe(s), nil
}

// expandTime shifts and formats a time. The kind is for a time that cannot be
// written: it says where the time comes from.
func (p part) expandTime(at time.Time, loc *time.Location, kind fault.Kind) (string, error) {
	at = at.In(loc)
	for _, s := range p.shifts {
		at = s.apply(at, loc)
	}
	if at.Year() < 1 || at.Year() > 9999 {
		return "", fault.New(kind, "%s gives the year %d: only 1 to 9999 can be written", p.source, at.Year())
	}
	return formatTime(p.format, at), nil
}

func (p part) missing() error {
	return fault.New(fault.Internal, "%s has no value here", p.source)
}

// extensionAt returns where a name's extension begins: at its last dot, except
// for dots that the name begins with.
func extensionAt(name string) int {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || strings.Trim(name[:dot], ".") == "" {
		return len(name)
	}
	return dot
}
