package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/store"
)

func (a *app) ledgerImportCmd() *cobra.Command {
	fromTarget := false
	c := &cobra.Command{
		Use:   "import JOB FILE | import JOB --from-target",
		Short: "Enter what was moved before a job had a ledger",
		Long: `Enter what was moved before a job had a ledger, so that a site that comes from
another program moves nothing twice. FILE, or - for standard input, has one file a
line: its path, spelled as the job would name it, or an object as
` + "`linehaul ledger list --json`" + ` prints it, whatever its job was. A file that only its
path is known of counts as moved as it is when a run sees it next. --from-target
connects, looks at both sides, and enters what the target has already, by size and
time and as far as the job verifies copies, under the names that a run would give now.`,
		Example: `  ls /srv/incoming | sed s,^,/var/exports/, | linehaul ledger import exports -
  linehaul ledger list old --json | linehaul ledger import new -`,
		Args:              usageArgs(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: a.completeImport,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case fromTarget && len(args) == 1:
				return a.ledgerAdopt(c.Context(), args[0])
			case !fromTarget && len(args) == 2:
				return a.ledgerImport(c.Context(), args[0], args[1])
			}
			return fault.New(fault.Usage, "want either a file or --from-target").WithHint("%s", c.UseLine())
		},
	}
	c.Flags().BoolVar(&fromTarget, "from-target", false, "enter what the target has already")
	return c
}

// completeImport offers jobs first, and then files.
func (a *app) completeImport(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.completeJobs(c, args, word)
}

// ledgerJob is the config's job of that name, and what keeps its ledger.
func (a *app) ledgerJob(name string) (*config.File, *config.Job, *store.Store, error) {
	s, err := a.storeOf([]string{name})
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := a.load()
	if err != nil {
		return nil, nil, nil, err
	}
	j := f.Jobs[name]
	if !j.Select.Ledger {
		a.note("warning: job %s does not go by its ledger; that is `only_new: ledger` in the config", name)
	}
	return f, j, s, nil
}

func (a *app) ledgerImport(ctx context.Context, name, file string) error {
	in, what := a.stdin, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fault.New(fault.Usage, "read what to import: %w", err)
		}
		defer f.Close()
		in, what = f, file
	}
	_, j, s, err := a.ledgerJob(name)
	if err != nil {
		return err
	}
	r := ledgerReader{job: name, host: j.Host, now: a.now()}
	n, err := r.each(in, func(batch []store.Entry) error {
		if ctx.Err() != nil {
			return fault.New(fault.Interrupted, "stopped: %w", context.Cause(ctx))
		}
		return s.LedgerImport(batch)
	})
	if err != nil {
		return fmt.Errorf("import %s: %w", what, err)
	}
	if a.json {
		return a.printJSON(map[string]int{"imported": n})
	}
	a.note("%d files entered for job %s", n, name)
	return nil
}

// maxLedgerLine bounds a line that is imported, in bytes.
const maxLedgerLine = 1 << 20

// A ledgerReader reads entries for a job.
type ledgerReader struct {
	job, host string
	now       time.Time
}

// each calls take with some entries at a time, and returns how many there were.
// What was taken before a line that is wrong stays.
func (r ledgerReader) each(in io.Reader, take func([]store.Entry) error) (n int, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLedgerLine)
	var batch []store.Entry
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := take(batch)
		n += len(batch)
		batch = batch[:0]
		return err
	}
	for number := 1; lines.Scan(); number++ {
		text := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(text) == 0 {
			continue
		}
		e, err := r.entry(text)
		if err != nil {
			if err := flush(); err != nil {
				return n, err
			}
			return n, fault.New(fault.Usage, "line %d: %w", number, err).WithHint("%d files before it are entered; a list may be imported again", n)
		}
		if batch = append(batch, e); len(batch) == store.LedgerBatch {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return n, fault.New(fault.Usage, "after %d files: %w", n+len(batch), err)
	}
	return n, flush()
}

// entry reads a path, or an object.
func (r ledgerReader) entry(text []byte) (store.Entry, error) {
	e := store.Entry{Job: r.job, Host: r.host, Path: string(text), Size: -1, At: r.now}
	if text[0] == '{' {
		var l ledgerLine
		if err := json.Unmarshal(text, &l); err != nil {
			return e, fmt.Errorf("it begins as an object and is none: %w", err)
		}
		e.Path, e.Target, e.SHA256 = l.Path, l.Target, strings.ToLower(l.SHA256)
		if len(l.PathBytes) > 0 {
			e.Path = string(l.PathBytes)
		}
		if l.Size != nil {
			e.Size, e.MTime = *l.Size, l.MTime
		}
		if !l.At.IsZero() {
			e.At = l.At
		}
		if sum, err := hex.DecodeString(e.SHA256); err != nil || len(sum) != 0 && len(sum) != 32 {
			return e, fmt.Errorf("%q is no SHA-256", l.SHA256)
		}
		if l.Size != nil && (*l.Size < 0 || l.MTime.IsZero()) {
			return e, errors.New("a size wants to be 0 at least, and a time beside it")
		}
	}
	if e.Path == "" || strings.ContainsRune(e.Path, 0) {
		return e, errors.New("there is no path")
	}
	return e, nil
}

func (a *app) ledgerAdopt(ctx context.Context, name string) error {
	f, c, _, err := a.ledgerJob(name)
	if err != nil {
		return err
	}
	if c.Sync != nil {
		return fault.New(fault.Usage, "job %q is a mirror, which has no ledger", name)
	}
	j, err := job.FromConfig(f, name, a.place())
	if err != nil {
		return err
	}
	r, err := a.runner(f)
	if err != nil {
		return err
	}
	entered, known, err := r.Adopt(ctx, j)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]int{"imported": entered, "known": known})
	}
	a.note("%d files entered for job %s, of %d of the source that it knows now", entered, name, known)
	return nil
}
