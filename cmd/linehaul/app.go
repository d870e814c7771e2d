package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"linehaul/bandwidth"
	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/logs"
	"linehaul/store"
	"linehaul/transfer/remote"
)

// app is one invocation: its streams, what it reads of the machine, and the
// flags that every verb has.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	now            func() time.Time
	// oneRun fits the process to one run at a time; nil where it is not this verb's
	// alone.
	oneRun func()
	// shared are the bandwidths that all runs of this process share, through
	// every reading of the config.
	shared *bandwidth.Shared
	// links are the tunnels of this process, through every reading of the config.
	links *job.Links
	// seen is what is to be seen of them, sayer tells other processes, and ends
	// are done when they have ended.
	seen  job.Look
	sayer *sayer
	ends  []func()
	// records are the records of runs, by where they are; sets is whether a damaged
	// one is set aside.
	records map[string]*store.Store
	sets    bool
	verb    string // without the program's name

	configPath string
	json       bool
	verbose    bool
	quiet      bool
	noColor    bool
}

// main runs the verb that the arguments name and returns the exit code.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	a.close()
	a.report(err)
	return fault.ExitCode(err)
}

// onlyRuns says that all that the verb does from here on is one run at a time. It is
// said once.
func (a *app) onlyRuns() {
	if a.oneRun != nil {
		a.oneRun()
	}
}

// close ends what the verb has begun.
func (a *app) close() {
	if a.links != nil {
		a.links.Close()
	}
	for _, end := range a.ends {
		end()
	}
	a.links, a.ends, a.records = nil, nil, nil
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "linehaul",
		Short: "Move files on a schedule over links that can be trusted",
		Long: `linehaul pulls and pushes files by SFTP and SCP, by hand or on a schedule, names
them by date, and keeps a log and a record of each run. A file under its final
name is always whole. It never prompts, and never trusts an unknown host key.

Exit codes: 0 done, 1 a fault of ours, 2 usage or configuration, 3 network,
4 tunnel, 5 host key unknown or changed, 6 login refused or key unusable,
7 remote file missing or not readable, 8 stalled or out of time, 9 partly done,
10 local disk, 11 verification failed, 12 the job is running already,
13 a required check failed, 14 nothing matched, 75 skipped on purpose,
130 interrupted.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fault.New(fault.Usage, "%w", err).WithHint("see `%s --help`", c.CommandPath())
	})
	root.PersistentPreRun = func(c *cobra.Command, _ []string) { a.verb = strings.TrimPrefix(c.CommandPath(), "linehaul ") }
	root.CompletionOptions.DisableDefaultCmd = true
	f := root.PersistentFlags()
	f.StringVarP(&a.configPath, "config", "c", "", "config `FILE` (default: ./linehaul.yaml, then the system's place)")
	f.BoolVar(&a.json, "json", false, "print JSON")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "print the log too")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print errors only")
	f.BoolVar(&a.noColor, "no-color", false, "no colours on a terminal (also NO_COLOR)")
	root.AddCommand(
		a.getCmd(), a.putCmd(), a.syncCmd(), a.lsCmd(), a.runCmd(), a.cancelCmd(), a.jobsCmd(), a.nodesCmd(), a.historyCmd(), a.verifyCmd(), a.ledgerCmd(), a.storeCmd(), a.logsCmd(), a.checkCmd(),
		a.serveCmd(), a.serviceCmd(), a.tunnelCmd(), a.configCmd(), a.keysCmd(), a.hostsCmd(), a.demoCmd(), a.completionCmd(), a.docsCmd(), a.versionCmd(),
	)
	return root
}

// usageArgs makes a wrong number of arguments a usage fault.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return fault.New(fault.Usage, "%w", err).WithHint("%s", strings.TrimSpace(c.UseLine()))
		}
		return nil
	}
}

// report prints what failed on one line and the next step on another.
func (a *app) report(err error) {
	if err == nil || errors.As(err, &shown{}) {
		return
	}
	// Cobra's own errors, such as an unknown verb, are nobody's but the
	// command line's.
	if strings.HasPrefix(err.Error(), "unknown command") {
		err = fault.New(fault.Usage, "%w", err)
	}
	if a.json && !errors.As(err, &reported{}) {
		a.printJSON(errorJSON(err)) //nolint:errcheck // the exit code still tells
	}
	var problems config.Errors
	if errors.As(err, &problems) {
		fmt.Fprint(a.stderr, problems.Report())
		return
	}
	fmt.Fprintf(a.stderr, "%s %s\n", a.red("linehaul:"), fault.Line(err))
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(a.stderr, "  hint: %s\n", hint)
	}
}

// red marks a text on a terminal that shows colours, and where nobody asked
// for none (no-color.org).
func (a *app) red(text string) string {
	if a.noColor || a.env("NO_COLOR") != "" || a.env("TERM") == "dumb" || !isTerminal(a.stderr) {
		return text
	}
	return "\x1b[1;31m" + text + "\x1b[0m"
}

// reported is an error that stands in the JSON printed already.
type reported struct{ error }

func (r reported) Unwrap() error { return r.error }

// shown is an error that was printed already, as a person and a program want it.
type shown struct{ error }

func (s shown) Unwrap() error { return s.error }

// failure is an error as --json prints it.
type failure struct {
	Error failureDetail `json:"error"`
}

type failureDetail struct {
	Layer    string           `json:"layer"`
	Code     int              `json:"code"`
	Message  string           `json:"message"`
	Hint     string           `json:"hint,omitempty"`
	Problems []config.Problem `json:"problems,omitempty"`
}

func errorJSON(err error) failure {
	d := failureDetail{Layer: fault.KindOf(err).String(), Code: fault.ExitCode(err), Message: err.Error(), Hint: fault.HintOf(err)}
	var problems config.Errors
	if errors.As(err, &problems) {
		d.Problems = problems
	}
	return failure{d}
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// jsonLine is a value on one line, as JSON Lines have it.
func jsonLine(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // it is made of what JSON has
	}
	return bytes.TrimSpace(b.Bytes())
}

// A jsonList prints a list as printJSON does, one element at a time.
type jsonList struct {
	w io.Writer
	n int
}

func (l *jsonList) add(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("  ", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	before := ",\n  "
	if l.n++; l.n == 1 {
		before = "[\n  "
	}
	_, err := fmt.Fprint(l.w, before, strings.TrimSpace(b.String()))
	return err
}

// end closes the list, also one without elements.
func (l *jsonList) end() error {
	end := "\n]\n"
	if l.n == 0 {
		end = "[]\n"
	}
	_, err := fmt.Fprint(l.w, end)
	return err
}

// isTerminal reports whether a stream is one that a person looks at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// system is what of this machine and user decides where things live.
func (a *app) system() config.System {
	return config.ThisSystem(a.env)
}

// load reads the config that --config names or that lies in its usual places.
func (a *app) load() (*config.File, error) {
	path := a.configPath
	if path == "" {
		var err error
		if path, err = config.Find(a.system()); err != nil {
			return nil, err
		}
	}
	f, err := config.Load(path)
	if err == nil {
		a.say(f)
		a.ways().Keep(f.Links)
	}
	return f, err
}

// ways are the links, which need no config to be there.
func (a *app) ways() *job.Links {
	if a.links == nil {
		a.links = job.NewLinks(a.now, randomReader(), a.logger())
	}
	return a.links
}

// place is what jobs need of this machine and user.
func (a *app) place() job.Place {
	return job.Place{
		AgentSocket:      a.agentSocket(),
		KnownHosts:       a.knownHosts(),
		GlobalKnownHosts: a.globalKnownHosts(),
		UsualKeys:        a.usualKeys(),
		Warn:             func(msg string) { a.note("warning: %s", msg) },
	}
}

// agentSocket is where the agent is: what the environment names, else on
// Windows wherever one of the usual ones answers.
func (a *app) agentSocket() string {
	if s := a.env("SSH_AUTH_SOCK"); s != "" || runtime.GOOS != "windows" {
		return s
	}
	return "agent"
}

// knownHosts are the user's files that ssh reads too, globalKnownHosts the
// system's.
func (a *app) knownHosts() []string {
	if home := a.home(); home != "" {
		return []string{home + "/.ssh/known_hosts"}
	}
	return nil
}

func (a *app) globalKnownHosts() []string {
	if runtime.GOOS == "windows" {
		return nil
	}
	return []string{"/etc/ssh/ssh_known_hosts"}
}

// usualKeys are the private keys that ssh would try, whether they are there or
// not.
func (a *app) usualKeys() []string {
	var files []string
	if home := a.home(); home != "" {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			files = append(files, filepath.Join(home, ".ssh", name))
		}
	}
	return files
}

func (a *app) home() string {
	if runtime.GOOS == "windows" {
		return a.env("USERPROFILE")
	}
	return a.env("HOME")
}

// note tells a person something that is no result and no error.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, "linehaul: "+format+"\n", args...)
	}
}

// secretTime bounds how long the address of the database is asked for.
const secretTime = 30 * time.Second

// record is the record of runs of a config. Through every reading of it, it is
// opened once, and closed when the invocation has ended.
func (a *app) record(f *config.File) (*store.Store, error) {
	place, err := a.storePlace(f)
	if err != nil {
		return nil, err
	}
	where := place.Dir + " " + place.URL
	if s := a.records[where]; s != nil {
		return s, nil
	}
	s, err := store.Open(place)
	if err != nil {
		return nil, err
	}
	if aside := s.Aside(); aside != "" {
		a.note("the record of runs was damaged: it is set aside as %s, and a new one begun; what it had of runs and pauses is not there any more", aside)
	}
	if a.records == nil {
		a.records = map[string]*store.Store{}
	}
	a.records[where] = s
	a.ends = append(a.ends, s.Close)
	return s, nil
}

// storePlace is where the record of a config is.
func (a *app) storePlace(f *config.File) (store.Place, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secretTime)
	defer cancel()
	url, err := f.Store.URL(ctx)
	return store.Place{
		Dir: f.State, URL: url, Node: f.Node.Name, Labels: f.Node.Labels, Version: versionText(), Now: a.now, Random: randomReader(), SetAside: a.sets,
	}, err
}

// runner makes what runs the jobs of a config.
func (a *app) runner(f *config.File) (*job.Runner, error) {
	s, err := a.record(f)
	if err != nil {
		return nil, err
	}
	r := a.looseRunner()
	r.Limits.Keep(job.SharedTables(f)) // runs under way go by the new ones too
	r.Store, r.Node = s, f.Node.Name
	r.Temp = f.State // the system's folder for such is in memory on some
	r.Logs = job.LogPlace{Dir: f.Logs.Dir, Name: f.Logs.Name, Options: a.logOptions(f.Logs)}
	return r, nil
}

// looseRunner runs jobs that no config names: nothing is recorded.
func (a *app) looseRunner() *job.Runner {
	if a.shared == nil {
		a.shared = bandwidth.NewShared(a.now)
	}
	return &job.Runner{
		Limits: a.shared,
		Dialer: dialer(), Links: a.ways(), Now: a.now, Random: randomReader(), Version: versionText(),
		Console: a.console(),
	}
}

// dialer reaches hosts over the system's own network.
func dialer() remote.Dialer { return &net.Dialer{} }

func (a *app) logOptions(l config.Logs) logs.Options {
	return logs.Options{
		Format: logs.Format(l.Format), Level: l.Level, MaxSize: l.MaxSize, MaxAge: l.MaxAge, Keep: l.Keep, Compress: l.Compress, Now: a.now,
	}
}

// console shows the log on the terminal where that was asked for.
func (a *app) console() slog.Handler {
	if !a.verbose {
		return nil
	}
	return logs.NewHandler(a.stderr, logs.Text, slog.LevelDebug)
}

// logger is what verbs without a run tell their log to.
func (a *app) logger() *slog.Logger {
	if h := a.console(); h != nil {
		return slog.New(h)
	}
	return slog.New(slog.DiscardHandler)
}
