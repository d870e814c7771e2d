package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/trace"
)

// checkFlags are those of `check`.
type checkFlags struct {
	host hostFlags

	count    int
	interval time.Duration
	size     int
	wait     time.Duration
	trace    bool
	tcp      bool
	udp      bool
	icmp     bool
	mtu      bool
	watch    bool
	noLogin  bool
	only     []string
	maxLoss  string
	maxRTT   time.Duration
	noNames  bool
	as       bool
	places   []string
	reports  []string
	history  bool
	days     int
}

func (a *app) checkCmd() *cobra.Command {
	var o checkFlags
	c := &cobra.Command{
		Use:   "check [flags] [HOST or LINK or JOB or address[:port[/udp]]]...",
		Short: "Look at the line: is it there, is it good, and which layer is to blame",
		Long: `Ask what the name is, how packets would go, how many echoes come back and how
long they take, whether the port is open, what the server is, whether its key is
the known one, whether the login works, and whether there is room for what a job
would move; then say in one line what is wrong, and what to do next.

A TARGET is a host, link or job of the config, or an address with a port or
without: 192.0.2.10:22, [2001:db8::1]:22, db.example.net:5432, 192.0.2.10:123/udp.
Without any, each host of the config is looked at. Nothing is asked for on the
terminal, and no administrator's rights are needed: what this account may not
ask is said to be unknown.

--trace shows each router on the way, --mtu the largest packet that passes.
--watch goes on until it is stopped. --report writes what was found to a file:
.html with plots, .md, or .json.

A host with jump hosts is reached through the outermost of them: the line is
looked at as far as that, the server and its login through all of them. A job is
held against the limits that its checks have, and asked what they ask besides.

Exit codes: 0 well, 3 network, 4 tunnel, 5 host key, 6 login or key, 13 another
check failed. Of several targets, the first that fails says which.`,
		Example: `  linehaul check hk1
  linehaul check nightly-db --trace --mtu --report line.html
  linehaul check 192.0.2.10:22 --count 50 --interval 100ms
  linehaul check --history nightly-db`,
		Args:              usageArgs(cobra.ArbitraryArgs),
		ValidArgsFunction: a.completeSubjects,
		RunE:              func(c *cobra.Command, args []string) error { return a.check(c.Context(), args, o) },
	}
	f := c.Flags()
	f.IntVar(&o.count, "count", 0, "how many echoes are sent (default 10)")
	f.DurationVar(&o.interval, "interval", 0, "time from one echo to the next (default 200ms)")
	f.IntVar(&o.size, "size", ping.DefaultSize, "bytes of data in an echo")
	f.DurationVar(&o.wait, "wait", 2*time.Second, "how long an answer to an echo is waited for")
	f.BoolVar(&o.trace, "trace", false, "show the routers on the way, by TCP to the port; to a gateway by UDP and echoes")
	f.BoolVar(&o.tcp, "tcp", false, "trace by TCP (as --trace)")
	f.BoolVar(&o.udp, "udp", false, "trace by UDP")
	f.BoolVar(&o.icmp, "icmp", false, "trace by echoes")
	f.BoolVar(&o.mtu, "mtu", false, "find the largest packet that passes")
	f.BoolVar(&o.watch, "watch", false, "send echoes and trace until stopped, as mtr does; then say what it comes to")
	f.BoolVar(&o.noLogin, "no-login", false, "look at the server's key, and do not log in")
	f.StringSliceVar(&o.only, "only", nil, "make these checks alone: `NAME` is "+strings.Join(preflight.Names(), ", "))
	f.StringVar(&o.maxLoss, "max-loss", "", "fail if more than this `SHARE` of the echoes is lost, such as 5%")
	f.DurationVar(&o.maxRTT, "max-rtt", 0, "fail if the median round trip takes longer")
	f.BoolVar(&o.noNames, "no-names", false, "do not look up the names of routers")
	f.BoolVar(&o.as, "as", false, "look up who announces the routers' addresses, in the DNS of Team Cymru: it learns which those are")
	f.StringArrayVar(&o.places, "places", nil, "say where routers are, by a MaxMind database `FILE` (repeatable)")
	f.StringArrayVar(&o.reports, "report", nil, "write a report to `FILE`: .html, .md or .json (repeatable)")
	f.BoolVar(&o.history, "history", false, "show what the checks of a job's runs have measured")
	f.IntVar(&o.days, "days", 28, "of --history: how many days back")
	o.host.anyUser = true
	o.host.add(c)
	words := cobra.FixedCompletions(preflight.Names(), cobra.ShellCompDirectiveNoFileComp)
	if err := c.RegisterFlagCompletionFunc("only", words); err != nil {
		panic(err) // the flag is some lines above
	}
	return c
}

// completeSubjects offers the names of the config to a shell.
func (a *app) completeSubjects(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	f, err := a.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Concat(f.HostOrder, f.JobOrder, linkNames(f)), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) check(ctx context.Context, args []string, o checkFlags) error {
	if o.history {
		return a.checkHistory(args, o)
	}
	policy, err := o.policy()
	if err != nil {
		return err
	}
	subjects, err := a.subjects(args, o)
	if err != nil {
		return err
	}
	if err := o.tryReports(); err != nil {
		return err
	}
	if len(o.reports) > 0 && len(subjects) > 1 {
		return fault.New(fault.Usage, "--report wants one target, and there are %d", len(subjects))
	}
	var worst error
	var all []preflight.Report
	for _, s := range subjects {
		report, err := a.checkOne(ctx, s, policy, o)
		if err != nil && report.Started.IsZero() {
			return err
		}
		all = append(all, report)
		if err := a.writeReports(report, s, o); err != nil {
			return err
		}
		worst = cmp.Or(worst, err)
	}
	if a.json {
		if len(all) == 1 {
			err = a.printJSON(all[0])
		} else {
			err = a.printJSON(all)
		}
		if err != nil {
			return err
		}
	}
	return worst
}

// policy is what the flags ask for.
func (o checkFlags) policy() (preflight.Policy, error) {
	p := preflight.ForPerson()
	if o.count < 0 || o.count > ping.MaxCount {
		return p, fault.New(fault.Usage, "--count %d: want a number from 1 to %d", o.count, ping.MaxCount)
	}
	if o.interval != 0 && o.interval < ping.MinInterval || o.wait <= 0 {
		return p, fault.New(fault.Usage, "--interval wants at least %s, and --wait more than 0", ping.MinInterval)
	}
	if o.size < 0 || o.size > 65000 {
		return p, fault.New(fault.Usage, "--size %d: want a number from 0 to 65000", o.size)
	}
	p.Ping = ping.Options{Count: cmp.Or(o.count, p.Ping.Count), Interval: cmp.Or(o.interval, p.Ping.Interval), Timeout: o.wait, Size: o.size}
	p.Limits.MaxRTT = o.maxRTT
	if o.maxLoss != "" {
		share, ok := config.ParsePercent(o.maxLoss)
		if !ok {
			return p, fault.New(fault.Usage, "--max-loss %q: want a percentage such as 5%%", o.maxLoss)
		}
		p.Limits.MaxLoss = share
	}
	if p.Limits.MaxLoss >= 0 || p.Limits.MaxRTT > 0 {
		p.Levels[preflight.CheckPing] = preflight.Require
	}
	p.Traces = nil
	for _, m := range []struct {
		asked bool
		by    trace.Method
	}{{o.tcp || o.trace && !o.udp && !o.icmp, trace.TCP}, {o.udp, trace.UDP}, {o.icmp, trace.ICMP}} {
		if m.asked {
			p.Traces = append(p.Traces, trace.Options{Method: m.by})
		}
	}
	if len(p.Traces) > 0 {
		p.Levels[preflight.CheckTrace] = preflight.Warning
	}
	if o.mtu {
		p.Levels[preflight.CheckMTU] = preflight.Warning
	}
	if len(o.only) > 0 {
		levels := map[string]preflight.Level{}
		for _, name := range o.only {
			if !slices.Contains(preflight.Names(), name) {
				return p, fault.New(fault.Usage, "--only %q: want %s", name, strings.Join(preflight.Names(), ", "))
			}
			levels[name] = cmp.Or(p.Of(name), preflight.Warning)
			if levels[name] == preflight.Off {
				levels[name] = preflight.Warning
			}
		}
		levels[preflight.CheckName] = preflight.Require // the others go by it
		p.Levels = levels
		if levels[preflight.CheckTrace] != "" && len(p.Traces) == 0 {
			p.Traces = []trace.Options{{Method: trace.TCP}}
		}
	}
	return p, nil
}

// forJob is the policy for a look at a job: with what its runs ask besides, and
// held against their limits where the flags name none.
func (o checkFlags) forJob(p, of preflight.Policy) preflight.Policy {
	if o.maxLoss == "" {
		p.Limits.MaxLoss = of.Limits.MaxLoss
	}
	p.Limits.MaxRTT, p.Limits.MaxJitter = cmp.Or(o.maxRTT, of.Limits.MaxRTT), of.Limits.MaxJitter
	p.Ports = of.Ports
	if len(p.Traces) == 0 {
		p.Traces = of.Traces
	}
	p.Levels = maps.Clone(p.Levels)
	for name, level := range of.Levels {
		asked := p.Of(name) != preflight.Off
		if of.Needs(name) && asked || level != preflight.Off && !asked && len(o.only) == 0 {
			p.Levels[name] = level
		}
	}
	return p
}

// asked is an error if nothing of what --only names could be asked.
func (o checkFlags) asked(s checkSubject, r preflight.Report) error {
	if len(o.only) == 0 || slices.ContainsFunc(o.only, func(name string) bool { return r.Of(name) != nil }) {
		return nil
	}
	return fault.New(fault.Usage, "%q cannot be asked for %s", s.name, strings.Join(o.only, ", ")).
		WithHint("space is asked of a job, ssh and clock of a host or job with its login, and port of what has one")
}

// A checkSubject is what is to be checked.
type checkSubject struct {
	name string
	job  *job.Job // its host is what is looked at; without a name it is no job
	// ports are what is asked in place of the host's own, if it is a bare
	// address.
	ports []preflight.Port
	bare  bool
	ssh   bool // it is asked as an SSH server
	login bool
	link  bool   // it is a link, and there is no job
	near  string // a name of the config that may have been meant by a bare address
}

// subjects are what the arguments name, or each host of the config.
func (a *app) subjects(args []string, o checkFlags) ([]checkSubject, error) {
	f, err := a.load()
	if err != nil && (a.configPath != "" || !config.IsAbsent(err)) {
		return nil, err
	}
	if len(args) == 0 {
		if err != nil {
			return nil, fault.New(fault.Usage, "there is no config whose hosts could be checked").
				WithHint("name an address, as in `linehaul check 192.0.2.10:22`")
		}
		args = f.HostOrder
		if len(args) == 0 {
			return nil, fault.New(fault.Usage, "%s has no hosts", f.Path).WithHint("name an address, as in `linehaul check 192.0.2.10:22`")
		}
	}
	var all []checkSubject
	for _, arg := range args {
		s, err := a.subject(f, arg, o)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (a *app) subject(f *config.File, arg string, o checkFlags) (checkSubject, error) {
	if f != nil {
		switch {
		case f.Jobs[arg] != nil:
			j, err := job.FromConfig(f, arg, a.place())
			return checkSubject{name: arg, job: j, login: !o.noLogin}, err
		case f.Hosts[arg] != nil:
			h, err := a.host(target{address: arg}, o.host)
			if err != nil {
				return checkSubject{}, err
			}
			return checkSubject{name: arg, job: &job.Job{Host: *h}, login: !o.noLogin && f.Hosts[arg].User != ""}, nil
		case f.Links[arg] != nil:
			return checkSubject{name: arg, link: true}, nil
		}
	}
	t, port, err := parseAddress(arg)
	if err != nil {
		return checkSubject{}, err
	}
	asked := o.host
	if port.Network == "tcp" && port.Number != 0 {
		asked.port = port.Number
	}
	t.url = true // it names no host of the config
	h, err := a.host(t, asked)
	if err != nil {
		return checkSubject{}, err
	}
	s := checkSubject{name: arg, job: &job.Job{Host: *h}, bare: true, login: !o.noLogin && cmp.Or(t.user, o.host.user) != ""}
	if port.Number != 0 {
		s.ports = []preflight.Port{port}
	}
	// Port 22 is that of SSH, and so is one that -P names.
	s.ssh = s.login || port == preflight.Port{Network: "tcp", Number: sshPort} || o.host.port != 0 && port.Number == 0 ||
		slices.Contains(o.only, preflight.CheckSSH) && port.Network != "udp"
	if h.Jump != nil && port.Number == 0 {
		s.ssh = true // there is nothing else to ask behind a jump host
	}
	if h.Jump != nil && !s.ssh {
		return checkSubject{}, fault.New(fault.Usage, "%q: behind a jump host, nothing but an SSH server can be looked at", arg).
			WithHint("leave the port out, or say that it is one of SSH with -P")
	}
	if f != nil && port.Number == 0 && t.user == "" {
		s.near = config.Nearest(arg, slices.Concat(f.HostOrder, f.JobOrder, linkNames(f)))
	}
	return s, nil
}

// parseAddress reads [user@]address[:port[/udp]].
func parseAddress(arg string) (target, preflight.Port, error) {
	user, rest, has := strings.Cut(arg, "@")
	if !has {
		user, rest = "", arg
	}
	var port preflight.Port
	number, network, _ := strings.Cut(rest, "/")
	address := strings.Trim(number, "[]")
	if host, p, err := net.SplitHostPort(number); err == nil {
		address = host
		text := p
		if network != "" {
			text += "/" + network
		}
		if port, err = preflight.ParsePort(text); err != nil {
			return target{}, port, fault.New(fault.Usage, "%q: %w", arg, err).WithHint("write address:port, with /udp behind it if it is one of UDP")
		}
	} else if network != "" {
		return target{}, port, fault.New(fault.Usage, "%q names no port", arg).WithHint("write address:port/udp")
	}
	if address == "" || strings.ContainsAny(address, `/\ `) {
		return target{}, port, fault.New(fault.Usage, "%q is no address, and no host, link or job of the config", arg).
			WithHint("`linehaul check --help` shows what may be named")
	}
	return target{user: user, address: address}, port, nil
}

// checkOne looks at one subject, and shows it.
func (a *app) checkOne(ctx context.Context, s checkSubject, p preflight.Policy, o checkFlags) (preflight.Report, error) {
	if o.watch {
		p.Ping.Count = ping.Endless
	}
	if s.job != nil && s.job.Name != "" {
		p = o.forJob(p, s.job.Checks.Policy)
	}
	show := a.newCheckLines(s, p)
	p.Ping.Each = show.echo
	if s.link && !o.tcp && slices.ContainsFunc(p.Traces, func(t trace.Options) bool { return t.Method == trace.TCP }) {
		// A gateway has no TCP port that must be open.
		p.Traces = []trace.Options{{Method: trace.UDP}, {Method: trace.ICMP}}
	}
	if len(p.Traces) > 0 {
		book, closeBook, err := o.book()
		if err != nil {
			return preflight.Report{}, err
		}
		defer closeBook()
		p.Traces = slices.Clone(p.Traces)
		for i := range p.Traces {
			p.Traces[i].Book, p.Traces[i].Each = book, show.trace(i)
			if o.watch {
				p.Traces[i].Probes = trace.Endless
			}
		}
	}
	report, err := a.lookAt(ctx, s, p, show)
	if err != nil {
		show.end()
		return report, err
	}
	if err := o.asked(s, report); err != nil {
		show.end()
		return preflight.Report{}, err
	}
	if s.near != "" && report.Layer == fault.Name.String() {
		report.Next = fmt.Sprintf("did you mean %q of the config? If not: %s", s.near, report.Next)
	}
	show.verdict(report)
	return report, checkError(report)
}

// book is what names routers. The second value is to be called when nobody uses
// it any more.
func (o checkFlags) book() (*trace.Book, func(), error) {
	var b trace.BookOptions
	if !o.noNames {
		b.Names = net.DefaultResolver
	}
	if o.as {
		b.AS = net.DefaultResolver
	}
	places, err := trace.OpenPlaces(o.places...)
	if err != nil {
		return nil, nil, err
	}
	b.Places = places
	book := trace.NewBook(b)
	return book, func() {
		book.Close()
		places.Close() //nolint:errcheck // it was read only
	}, nil
}

func (a *app) lookAt(ctx context.Context, s checkSubject, p preflight.Policy, show *checkLines) (preflight.Report, error) {
	r := a.looseRunner()
	if s.link {
		subject, done, err := a.ways().LinkSubject(s.name)
		if err != nil {
			return preflight.Report{}, err
		}
		defer done()
		report := preflight.Look(ctx, subject, p, a.now, show.finding)
		report.Version = versionText()
		return report, nil
	}
	host := s.job.Host
	if !s.bare || s.ssh {
		report, err := r.Check(ctx, s.job, p, s.login, show.finding)
		report.Subject = cmp.Or(report.Subject, s.name)
		return report, err
	}
	dialer, err := a.ways().Dialer(host, dialer())
	if err != nil {
		return preflight.Report{}, err
	}
	subject, done, err := a.ways().Subject(host, dialer)
	if err != nil {
		return preflight.Report{}, err
	}
	defer done()
	subject.Name, subject.Port, p.Ports = s.name, 0, s.ports
	report := preflight.Look(ctx, subject, p, a.now, show.finding)
	report.Version = versionText()
	return report, nil
}

// checkError is the exit code of a report.
func checkError(r preflight.Report) error {
	if r.Verdict != preflight.Fail {
		return nil
	}
	return shown{fault.New(r.Kind(), "%s", r.Summary)}
}
