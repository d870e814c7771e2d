package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"linehaul/preflight"
	"linehaul/schedule/calendar"
	"linehaul/schedule/cron"
	"linehaul/stamp"
	"linehaul/transfer"
)

// job makes a job of what its section says.
func (r *rules) job(name string, at spot, s *jobEntry) *Job {
	j := &Job{
		Name: name, Timezone: r.timezone(&s.Timezone), ToText: s.To.value, Recursive: s.Recursive.value,
		Retry: Retry{
			Attempts: s.Retry.Attempts.value, BackoffMin: s.Retry.Backoff.least, BackoffMax: s.Retry.Backoff.most,
		},
		Timeout: r.positive(&s.Timeout), Overlap: Overlap(s.Overlap.value), IfNone: s.IfNone.value, Disabled: s.Disabled.value,
		Verify: s.Verify.value, Connections: s.Connections.value, FilesInFlight: s.FilesInFlight.value,
		MaxTransfer: s.MaxTransfer.value, MaxDuration: s.MaxDuration.value, Preserve: s.Preserve.value, KeepBad: s.KeepBad.value, NoSpaceCheck: !s.SpaceCheck.value,
	}
	j.Checks = r.checks(&s.Checks)
	if !s.SpaceCheck.value && !s.Checks.Space.given {
		j.Checks.Levels[preflight.CheckSpace] = preflight.Off
	}
	j.Bandwidth = r.bandwidth(&s.Bandwidth, j.Timezone)
	if s.MaxTransfer.given && j.MaxTransfer == 0 {
		r.problem(s.MaxTransfer.at, "`max_transfer` wants at least 1").suggest("remove the line, if a run may move any amount")
	}
	if s.MaxDuration.given && j.MaxDuration == 0 {
		r.problem(s.MaxDuration.at, "`max_duration` wants more than 0").suggest("remove the line, if a run may go on until it is done")
	}
	j.Schedule = r.schedule(&s.Schedule, j.Timezone)
	j.Splay, j.CatchUp, j.Window = s.Splay.value, s.CatchUp.value, s.Window.value
	j.NotOn = r.notOn(&s.NotOn, j.Timezone)
	j.DependsOn, j.RunOn = r.depends(j, s), r.nodeNames(&s.RunOn)
	if s.Log.given {
		j.Log = r.logName(&s.Log)
	}
	switch {
	case s.Get.given && s.Put.given:
		r.problem(s.Put.at, "%s has both `get` and `put`", quote(name)).suggest("make two jobs of it")
	case s.Sync.given && (s.Get.given || s.Put.given):
		r.problem(s.Sync.at, "%s has `sync` beside `get` or `put`", quote(name)).suggest("make two jobs of it")
	case s.Sync.given:
		r.sync(j, s)
	case s.Get.given:
		r.get(j, s)
	case s.Put.given:
		r.put(j, s)
	default:
		r.problem(at, "`%s` has neither `get` nor `put` nor `sync`", at.name).suggest("add `get: HOST:PATH`, or `put: PATH`, or `sync` with either")
	}
	r.syncOnly(s)
	r.keep(j, s)
	r.after(j, &s.After.Source)
	j.Select = r.selection(s, j.To)
	r.overlap(j, s)
	return j
}

// get reads the sources and the target of a job that fetches.
func (r *rules) get(j *Job, s *jobEntry) {
	for _, t := range s.Get.items {
		host, source, ok := r.hostPath(&t)
		if !ok {
			continue
		}
		switch {
		case source.value == "":
			r.problem(t.at, "%s names no file", quote(t.value)).suggest("write %s:PATH; a path without / in front starts in the login folder", host.value)
			continue
		case j.Host != "" && j.Host != host.value:
			r.problem(host.at, "one job fetches from one host, and this is %s after %s", quote(host.value), quote(j.Host)).
				suggest("make two jobs of it")
			continue
		}
		j.Host = host.value
		j.Get = append(j.Get, source.value)
	}
	if s.To.given && r.isLocal(&s.To) {
		j.To = r.localTemplate(&s.To)
		r.severalFiles(&s.To, j.To, j.Get, j.Recursive, filepath.Separator)
	}
}

// put reads the sources and the target of a job that sends.
func (r *rules) put(j *Job, s *jobEntry) {
	for _, t := range s.Put.items {
		if !r.isLocal(&t) {
			continue
		}
		if p, err := r.localPattern(t.value); err != nil {
			r.problem(t.at, "`put` %s: %v", quote(t.value), err)
		} else {
			j.Put = append(j.Put, p)
		}
	}
	if !s.To.given {
		return
	}
	host, target, ok := r.hostPath(&s.To)
	if !ok {
		return
	}
	j.Host = host.value
	j.To = r.template(target, target.value, 0)
	r.severalFiles(&s.To, j.To, j.Put, j.Recursive, '/')
}

// isLocal reports a path that names a host where a local one belongs.
func (r *rules) isLocal(t *text) bool {
	name, _, found := strings.Cut(t.value, ":")
	if !found || len(name) == 1 || !slices.Contains(r.hosts, name) {
		return true
	}
	r.problem(t.at, "`%s` wants a local path here, and %s is a host", t.at.name, quote(name)).
		suggest("`get` fetches from a host to a local path, `put` sends local files to a host")
	return false
}

// hostPath splits HOST:PATH at the first colon, and reports what is no such
// thing or names no host of the file.
func (r *rules) hostPath(t *text) (host, path *text, ok bool) {
	name, rest, found := strings.Cut(t.value, ":")
	host, path = t.before(len(name)), t.after(len(t.value)-len(rest))
	switch {
	case !found:
		r.problem(t.at, "`%s` wants HOST:PATH, got %s", t.at.name, quote(t.value)).
			suggest("put the host in front: %s", shown(exampleHost(r.hosts)+":"+t.value))
	case strings.HasPrefix(rest, "//"):
		r.problem(t.at, "`%s` wants HOST:PATH with a host of this file, not a URL", t.at.name).suggest("declare the server under `hosts`")
	case strings.Contains(name, "@"):
		r.problem(t.at, "`%s` wants HOST:PATH with a host of this file, not USER@ADDRESS", t.at.name).suggest("declare the server under `hosts`")
	case len(name) == 1 && strings.HasPrefix(rest, `\`):
		r.problem(t.at, "`%s` wants HOST:PATH, got a path of Windows", t.at.name).suggest("to send local files, use `put`; to fetch, name the host in front")
	case !r.knownHost(host):
	case rest == "~" || strings.HasPrefix(rest, "~/"):
		r.problem(path.at, "a server does not know what ~ means").
			suggest("a path without / in front starts in the login folder: %s", shown(name+":"+strings.TrimPrefix(strings.TrimPrefix(rest, "~"), "/")))
	default:
		return host, path, true
	}
	return nil, nil, false
}

func exampleHost(hosts []string) string {
	if len(hosts) > 0 {
		return hosts[0]
	}
	return "hk1"
}

// severalFiles warns of a target that names one file where there may be
// several. It is no mistake if it is a folder that exists, which is only known
// when the job runs.
func (r *rules) severalFiles(to *text, t *stamp.Template, sources []string, recursive bool, separator rune) {
	if t == nil || t.PerFile() || strings.HasSuffix(t.String(), "/") || strings.HasSuffix(t.String(), string(separator)) || t.String() == "" {
		return
	}
	several := len(sources) > 1 || recursive
	for _, s := range sources {
		several = several || transfer.HasWildcard(s)
	}
	if several {
		r.warn(to.at, "there may be several files, and `to` names one unless it is a folder that exists").
			suggest("end it with %c for a folder, or use {name} in it", separator)
	}
}

// localPattern makes a local path that may hold wildcards absolute.
func (r *rules) localPattern(p string) (string, error) {
	base, rest, err := anchor(p, r.dir)
	switch {
	case err != nil:
		return "", err
	case base == "":
		return filepath.Clean(rest), nil
	case !transfer.HasWildcard(base) && !strings.Contains(base, `\`):
		return filepath.Join(base, rest), nil
	case runtime.GOOS != "windows":
		return filepath.Join(wildcardEscaper.Replace(base), rest), nil
	case transfer.HasWildcard(base):
		return "", errors.New("the folder of this file has a wildcard in its name, which cannot be escaped on Windows: move the file")
	}
	return filepath.Join(base, rest), nil
}

var (
	braceEscaper    = strings.NewReplacer("{", "{{", "}", "}}")
	wildcardEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`)
)

// localTemplate makes a template for a local path absolute. A separator at its
// end stays: it says that a folder is meant.
func (r *rules) localTemplate(t *text) *stamp.Template {
	if r.template(t, t.value, 0) == nil {
		return nil
	}
	base, rest, err := anchor(t.value, r.dir)
	if err != nil {
		r.problem(t.at, "`%s` %s: %v", t.at.name, quote(t.value), err)
		return nil
	}
	if runtime.GOOS != "windows" && strings.Contains(t.value, `\`) {
		r.warn(t.at, `on this system a \ is part of a name and does not separate folders`).suggest("write / between folders")
	}
	if base == "" {
		return r.template(t, rest, 0)
	}
	// What stands in braces may hold dots and slashes of its own, so only what
	// leads is cleaned.
	for {
		first, after := rest, ""
		if i := strings.IndexFunc(rest, isSeparator); i >= 0 {
			first, after = rest[:i], strings.TrimLeftFunc(rest[i:], isSeparator)
		}
		if first == ".." {
			base = filepath.Dir(base)
		} else if first != "." {
			break
		}
		rest = after
	}
	if !strings.HasSuffix(base, string(filepath.Separator)) {
		base += string(filepath.Separator)
	}
	base = braceEscaper.Replace(base)
	if fixed, err := stamp.Parse(base); err != nil || !fixed.Fixed() {
		r.problem(t.at, "`%s` %s: the folder that it starts in has a name that would be taken for a stamp", t.at.name, quote(t.value))
		return nil
	}
	return r.template(t, base+rest, len(base)+len(rest)-len(t.value))
}

// logName reads the name of a log below the log folder.
func (r *rules) logName(t *text) *stamp.Template {
	name := strings.ReplaceAll(t.value, `\`, "/")
	tmpl := r.template(t, name, 0)
	switch {
	case tmpl == nil:
	case path.IsAbs(name) || foreign(name, false) != nil || strings.HasPrefix(name, "~") || strings.Contains("/"+name+"/", "/../") || strings.HasSuffix(name, "/"):
		r.problem(t.at, "`%s` wants the name of a file below the log folder, got %s", t.at.name, quote(t.value)).
			suggest("the folder itself is `logs.dir`")
	case tmpl.PerFile():
		r.problem(t.at, "`%s` is the log of a whole run, and holds a stamp of a single file", t.at.name).
			suggest("use {job}, {run}, {host}, {date} and {time}")
	}
	return tmpl
}

// notOn reads a calendar, and the files that it names.
func (r *rules) notOn(t *texts, zone *time.Location) *calendar.Calendar {
	if len(t.items) == 0 {
		return nil
	}
	read := func(name string) ([]byte, error) {
		p, err := localPath(name, r.dir)
		if err != nil {
			return nil, err
		}
		f, err := os.Open(p)
		if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
			err = failed.Err // the message has the name
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("there is no such file")
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, calendar.MaxFile+1))
	}
	var all []string
	for _, item := range t.items {
		if _, err := calendar.New(zone, []string{item.value}, read); err != nil {
			r.problem(item.at, "`not_on` %s: %v", quote(item.value), err).
				suggest("write a date, a range of dates, a part of the week such as `sat,sun`, or the name of an .ics file")
			continue
		}
		all = append(all, item.value)
	}
	c, err := calendar.New(zone, all, read)
	if err != nil {
		r.problem(t.at, "`not_on`: %v", err)
	}
	return c
}

// schedule reads the expressions one by one, so that each mistake is shown
// where it is.
func (r *rules) schedule(t *texts, zone *time.Location) *cron.Schedule {
	var exprs []string
	for _, item := range t.items {
		if _, err := cron.Parse(zone, item.value); err != nil {
			message := err.Error()
			var syntax *cron.SyntaxError
			if errors.As(err, &syntax) {
				message = syntax.Msg
			}
			r.problem(item.at, "`schedule` %s: %s", quote(item.value), message)
			continue
		}
		exprs = append(exprs, item.value)
	}
	if len(exprs) == 0 {
		return nil
	}
	s, err := cron.Parse(zone, exprs...)
	if err != nil {
		r.problem(t.at, "`schedule`: %v", err)
	}
	return s
}

func (r *rules) timezone(t *text) *time.Location {
	if !t.given {
		return time.Local
	}
	zone, err := time.LoadLocation(t.value)
	if err != nil {
		r.problem(t.at, "no time zone %s", quote(t.value)).suggest("use an IANA name such as Asia/Singapore, Europe/Berlin or UTC")
		return time.Local
	}
	return zone
}

// template parses s, which is t's value with moved bytes put in front of it.
func (r *rules) template(t *text, s string, moved int) *stamp.Template {
	tmpl, err := stamp.Parse(s)
	if err == nil {
		return tmpl
	}
	at, message := t.at, err.Error()
	var syntax *stamp.SyntaxError
	if errors.As(err, &syntax) {
		at, message = t.part(syntax.Offset-moved), syntax.Msg
	}
	r.problem(at, "`%s` %s: %s", t.at.name, quote(t.value), message)
	return nil
}
