package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/job"
	"linehaul/stamp"
	"linehaul/store"
)

// moveFlags are those of get and put.
type moveFlags struct {
	hostFlags
	selection   selectFlags
	limits      limitFlags
	look        lookFlags
	progress    progressFlag
	recursive   bool
	attempts    int
	verify      string
	preserve    bool
	keepBad     bool
	noSpace     bool
	connections int
	timeout     time.Duration
	ifNone      string
	dryRun      bool
}

func (o *moveFlags) add(c *cobra.Command) {
	c.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "folders with all that is below them")
	c.Flags().BoolVar(&o.preserve, "preserve", false, "give files exactly the permission bits of their sources, whatever the umask")
	o.addShared(c)
}

// addShared adds those that sync has too.
func (o *moveFlags) addShared(c *cobra.Command, without ...string) {
	o.hostFlags.add(c)
	f := c.Flags()
	o.selection.add(f, without...)
	f.StringVar(&o.verify, "verify", string(job.VerifySize), "how a copy is compared with its source: `size`, auto or sha256")
	f.BoolVar(&o.keepBad, "keep-bad", false, "leave a copy that is not what its source is beside the target, as .NAME.RUN.bad")
	f.BoolVar(&o.noSpace, "no-space-check", false, "begin although the target's disk says that it has too little room, as one that compresses may")
	o.limits.add(f)
	o.look.add(f)
	o.progress.add(c)
	f.IntVar(&o.connections, "connections", 0, "over how many connections large files are moved (default: as many as help)")
	f.IntVar(&o.attempts, "attempts", 0, "how often to try before giving up (default 1, and a connection that breaks\nin the middle is made again as long as that helps)")
	f.DurationVar(&o.timeout, "timeout", 0, "longest time for all of it (default: none)")
	f.StringVar(&o.ifNone, "if-none", string(job.NoneFails), "what it is when nothing matches: fail, warn or ok")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "show what would be done with each file, and why, and move nothing")
}

func (a *app) getCmd() *cobra.Command {
	var o moveFlags
	c := &cobra.Command{
		Use:   "get [flags] SOURCE... DEST",
		Short: "Pull files now",
		Long: `Pull files now. A SOURCE is host:path for a host of the config, or
user@address:path, or sftp://user@address:port/path; wildcards are expanded on
the server. DEST may hold stamps: {date}, {time}, {name}, {stem}, {ext} ...
A DEST that ends in a slash is a folder, made if it is absent.`,
		Example: `  linehaul get hk1:/var/backups/db.sql.gz '/backup/{date}/{name}'
  linehaul get -i key 'jephe@192.0.2.10:*.txt' ./`,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(c *cobra.Command, args []string) error { return a.get(c.Context(), args, o) },
	}
	o.add(c)
	return c
}

func (a *app) putCmd() *cobra.Command {
	var o moveFlags
	c := &cobra.Command{
		Use:   "put [flags] SOURCE... DEST",
		Short: "Push files now",
		Long: `Push files now. DEST is host:path for a host of the config, or
user@address:path, or sftp://user@address:port/path, and may hold stamps.
A DEST that ends in a slash is a folder, made if it is absent.`,
		Example: `  linehaul put report.pdf 'hk1:/in/{stem}-{date}{ext}'
  linehaul put -r site/ deploy@192.0.2.10:/srv/www/`,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(c *cobra.Command, args []string) error { return a.put(c.Context(), args, o) },
	}
	o.add(c)
	return c
}

func (a *app) get(ctx context.Context, args []string, o moveFlags) error {
	sources, dest := args[:len(args)-1], args[len(args)-1]
	if _, remote, err := parseTarget(dest); err != nil || remote {
		return bothRemote(err, dest)
	}
	var first target
	var paths []string
	for i, s := range sources {
		t, remote, err := parseTarget(s)
		if err != nil {
			return err
		}
		if !remote {
			return fault.New(fault.Usage, "the source %q is not on a server", s).WithHint("write host:path or user@address:path")
		}
		if i > 0 && !t.sameHost(first) {
			return fault.New(fault.Usage, "%q and %q are on different hosts", sources[0], s).WithHint("one call is for one host")
		}
		if i == 0 {
			first = t
		}
		paths = append(paths, t.path)
	}
	j, err := a.oneOff("get", first, dest, o)
	if err != nil {
		return err
	}
	j.Get = paths
	return a.move(ctx, j, o)
}

func (a *app) put(ctx context.Context, args []string, o moveFlags) error {
	sources, dest := args[:len(args)-1], args[len(args)-1]
	t, remote, err := parseTarget(dest)
	if err != nil {
		return err
	}
	if !remote {
		return fault.New(fault.Usage, "the target %q is not on a server", dest).WithHint("write host:path or user@address:path")
	}
	for _, s := range sources {
		if _, remote, err := parseTarget(s); err != nil || remote {
			return bothRemote(err, s)
		}
	}
	j, err := a.oneOff("put", t, t.path, o)
	if err != nil {
		return err
	}
	j.Put = sources
	return a.move(ctx, j, o)
}

func bothRemote(err error, s string) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Usage, "%q is on a server, and so is the other side", s).
		WithHint("a local path with a colon in it is written ./%s", s)
}

// oneOff makes a job that no config names.
func (a *app) oneOff(name string, t target, to string, o moveFlags) (*job.Job, error) {
	if err := a.look(o.look); err != nil {
		return nil, err
	}
	if o.attempts < 0 {
		return nil, fault.New(fault.Usage, "--attempts %d: want at least 1", o.attempts)
	}
	ifNone := job.IfNone(o.ifNone)
	switch ifNone {
	case job.NoneFails, job.NoneWarns, job.NoneOK:
	default:
		return nil, fault.New(fault.Usage, "--if-none %q: want fail, warn or ok", o.ifNone)
	}
	verify, err := job.ParseVerify(o.verify)
	if err != nil {
		return nil, fault.New(fault.Usage, "--verify %w", err)
	}
	const most = 16
	if o.connections < 0 || o.connections > most {
		return nil, fault.New(fault.Usage, "--connections %d: want 1 to %d, or 0 for as many as help", o.connections, most)
	}
	if to == "" && name == "get" {
		return nil, fault.New(fault.Usage, "the target is empty").WithHint("write . for this folder")
	}
	dest, err := stamp.Parse(to)
	if err != nil {
		return nil, fault.New(fault.Usage, "target: %w", err)
	}
	if err := o.selection.check(dest); err != nil {
		return nil, err
	}
	h, err := a.host(t, o.hostFlags)
	if err != nil {
		return nil, err
	}
	limits, err := a.limits(t, o.hostFlags, o.limits)
	if err != nil {
		return nil, err
	}
	return &job.Job{
		Limits: limits, Preserve: o.preserve, KeepBad: o.keepBad, NoSpaceCheck: o.noSpace, FilesInFlight: o.limits.filesInFlight,
		Name: name, Host: *h, To: dest, Recursive: o.recursive, Select: o.selection.chosen, IfNone: ifNone, Zone: time.Local, Verify: verify, Connections: o.connections,
		Retry: job.Retry{Attempts: max(1, o.attempts), Min: time.Second, Max: time.Minute, Reconnect: o.attempts != 1}, Timeout: o.timeout,
	}, nil
}

// move runs a one-off job and shows what it did.
func (a *app) move(ctx context.Context, j *job.Job, o moveFlags) error {
	r := a.looseRunner()
	if o.dryRun {
		return a.dryRun(ctx, r, j)
	}
	a.onlyRuns()
	run, err := a.withProgress(o.progress, func(r *job.Runner) (store.Run, error) { return r.Run(ctx, j, job.Trigger{}) }, r)
	err = a.showRun(run, err)
	if forgetErr := run.Forget(); forgetErr != nil && err == nil {
		err = forgetErr
	}
	return err
}

// showRun prints what a run moved, and returns its error for the exit code.
func (a *app) showRun(run store.Run, err error) error {
	if a.json {
		if run.ID == "" {
			return err
		}
		if printErr := run.WriteJSON(a.stdout); printErr != nil && err == nil {
			return printErr
		}
		if err != nil {
			return reported{err}
		}
		return nil
	}
	if a.quiet {
		return err
	}
	out, deletes := bufio.NewWriter(a.stdout), false
	listErr := run.EachFile(func(f store.File) error {
		var err error
		switch {
		case f.Error != "":
			_, err = fmt.Fprintf(out, "%s failed: %s\n", printable(f.Source), printable(f.Error))
		case f.Gone == store.GoneByRetention:
			_, err = fmt.Fprintf(out, "removed %s\n", printable(f.Target))
		case f.Deleted:
			deletes = true
			_, err = fmt.Fprintf(out, "deleted %s\n", printable(f.Target))
		default:
			_, err = fmt.Fprintf(out, "%s -> %s (%s)%s\n", printable(f.Source), printable(f.Target), bytesText(f.Bytes), afterText(f))
		}
		return err
	})
	if flushErr := out.Flush(); listErr == nil {
		listErr = flushErr
	}
	if err == nil {
		err = listErr
	}
	if err == nil {
		took := run.Ended.Sub(run.Started)
		line := fmt.Sprintf("%d files, %s in %s", run.Moved, bytesText(run.Bytes), took.Round(time.Millisecond))
		if rate := rateText(run.Bytes, took); rate != "" {
			line += ", " + rate
		}
		if run.Removed > 0 && deletes {
			line += fmt.Sprintf("; %d deleted", run.Removed)
		} else if run.Removed > 0 {
			line += fmt.Sprintf("; %d old copies removed", run.Removed)
		}
		if l := run.Link; l != nil {
			line += "; by link " + l.Name + ": " + bytesText(l.Received) + " received, " + bytesText(l.Sent) + " sent"
		}
		fmt.Fprintln(a.stdout, line)
	}
	return err
}

// dryRun shows what a job would do with each file, one after the other as they
// are found.
func (a *app) dryRun(ctx context.Context, r *job.Runner, j *job.Job) error {
	if !a.json {
		return r.Plan(ctx, j, func(p job.Planned) error {
			_, err := fmt.Fprintln(a.stdout, plannedText(p))
			return err
		})
	}
	list := jsonList{w: a.stdout}
	err := r.Plan(ctx, j, func(p job.Planned) error { return list.add(p) })
	if err != nil && list.n == 0 {
		return err
	}
	if endErr := list.end(); endErr != nil && err == nil {
		return endErr
	}
	if err != nil {
		return reported{err}
	}
	return nil
}

// afterText says what became of the source of a file that was moved.
func afterText(f store.File) string {
	switch {
	case f.After == "":
		return ""
	case f.AfterTarget != "":
		return ", source " + f.After + " to " + printable(f.AfterTarget)
	case f.AfterReason != "":
		return ", source " + f.After + ": " + printable(f.AfterReason)
	}
	return ", source " + f.After
}

// plannedText is one line of a dry run.
func plannedText(p job.Planned) string {
	source := printable(p.Source)
	if p.After != "" {
		p.After = ", then " + printable(p.After)
	}
	switch {
	case p.Does == "delete" && p.Dir:
		return fmt.Sprintf("delete %s (folder)", printable(p.Target))
	case p.Does == "delete":
		return fmt.Sprintf("delete %s (%s)", printable(p.Target), bytesText(p.Bytes))
	case p.Does == "set":
		return fmt.Sprintf("set %s -> %s (mode and time)", source, printable(p.Target))
	case p.Source == "":
		return fmt.Sprintf("%s %s (%s)", p.Does, printable(p.Target), p.Reason)
	case p.Reason != "":
		return fmt.Sprintf("%s %s: %s", p.Does, source, p.Reason)
	case p.Error != "":
		return fmt.Sprintf("%s %s: %s", p.Does, source, printable(p.Error))
	case p.Link != "":
		return fmt.Sprintf("%s %s -> %s (link to %s)", p.Does, source, printable(p.Target), printable(p.Link))
	case p.Dir:
		return fmt.Sprintf("%s %s -> %s (folder)", p.Does, source, printable(p.Target))
	}
	return fmt.Sprintf("%s %s -> %s (%s)%s", p.Does, source, printable(p.Target), bytesText(p.Bytes), p.After)
}
