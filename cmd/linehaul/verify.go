package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/receipt"
	"linehaul/store"
)

type verifyOptions struct {
	files  string
	number int
	heads  bool
	list   bool
}

func (a *app) verifyCmd() *cobra.Command {
	o := verifyOptions{files: "yes", number: 20}
	c := &cobra.Command{
		Use:   "verify [RUN]",
		Short: "Check the receipts of runs, and the files that they name",
		Long: `Check the receipts that runs have left: that each is as it was made, that none
is missing and none was added, and that the local files are still what the
newest receipts say. With a RUN, the whole chain and the files of that run.

Nothing is changed, and no server is asked. The exit code is 11 if anything is
wrong; what has its explanation, or cannot be looked at from here, is a note.`,
		Example: `  linehaul verify
  linehaul verify --files=no
  linehaul verify 20261123T023001Z-123abcde --json
  linehaul verify --heads | sed -n 17p | sha256sum`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.completeRuns,
		RunE: func(c *cobra.Command, args []string) error {
			run := ""
			if len(args) > 0 {
				run = args[0]
			}
			return a.verify(c.Context(), run, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.files, "files", o.files, "read the local files again; `no`: only the receipts and their lists")
	f.IntVarP(&o.number, "number", "n", o.number, "how many notes to print; 0: all (problems are all printed)")
	f.BoolVar(&o.heads, "heads", false, "print the receipts themselves instead, a line each")
	f.BoolVar(&o.list, "list", false, "print the lines for the files of RUN instead, as its receipt has them")
	c.MarkFlagsMutuallyExclusive("heads", "list")
	return c
}

func (a *app) verify(ctx context.Context, name string, o verifyOptions) error {
	switch {
	case o.files != "yes" && o.files != "no":
		return fault.New(fault.Usage, "--files=%s: want yes or no", o.files)
	case o.number < 0:
		return fault.New(fault.Usage, "-n %d: want at least 0", o.number)
	case o.list && name == "":
		return fault.New(fault.Usage, "--list: of which run?").WithHint("name it: linehaul verify RUN --list")
	case o.heads && name != "":
		return fault.New(fault.Usage, "--heads prints all receipts, not those of a run")
	}
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	receipts := s.Receipts()
	if o.heads {
		return receipt.WriteHeads(ctx, receipts, a.stdout)
	}
	run, seq, err := runOfReceipt(ctx, s, receipts, name)
	switch {
	case err != nil:
		return err
	case o.list && seq == 0:
		return fault.New(fault.Usage, "run %s has no receipt", run)
	case o.list:
		return receipt.WriteList(ctx, receipts, seq, a.stdout)
	}
	p := findingPrinter{a: a, left: o.number, all: o.number == 0}
	options := receipt.Options{Run: run, Files: o.files == "yes", Node: s.Node()}
	if !a.json {
		options.Found = p.print
	}
	report, err := receipt.Verify(ctx, receipts, receipts, options)
	switch {
	case err != nil:
		return err
	case a.json:
		err = report.WriteJSON(a.stdout)
	default:
		err = p.end(report)
	}
	if err != nil {
		return err
	}
	if err := report.Err(); err != nil && a.json {
		return reported{err}
	}
	return report.Err()
}

// runOfReceipt finds a run by its id, which may be cut short, and the number of its
// receipt; of a run whose record is gone, the receipt may still be there.
func runOfReceipt(ctx context.Context, s *store.Store, receipts *store.Receipts, name string) (id string, seq int64, err error) {
	if name == "" {
		return "", 0, nil
	}
	run, err := s.Run(name)
	if _, bad := store.RunTime(name); bad == nil && errors.As(err, new(*store.NotFoundError)) {
		named, err := receipts.Of(ctx, name)
		return name, named.Seq, err
	}
	if err != nil {
		return "", 0, err
	}
	if run.State == store.Running || run.State == store.Waiting {
		return "", 0, fault.New(fault.Usage, "run %s has not ended, and has no receipt yet", run.ID)
	}
	if run.Receipt == nil {
		return run.ID, 0, nil
	}
	begin, err := receipts.Begin(ctx)
	if err == nil && run.Receipt.Seq <= begin.Seq {
		err = fault.New(fault.Usage, "the receipt of run %s, number %d, is too old: all up to number %d were removed", run.ID, run.Receipt.Seq, begin.Seq)
	}
	return run.ID, run.Receipt.Seq, err
}

// A findingPrinter prints what is found at once: all problems, and some notes.
type findingPrinter struct {
	a    *app
	left int // notes
	all  bool
	more int // notes that were not printed
}

func (p *findingPrinter) print(f receipt.Finding) {
	switch {
	case f.Problem:
	case p.a.quiet:
		return
	case p.all:
	case p.left == 0:
		p.more++
		return
	default:
		p.left--
	}
	fmt.Fprintln(p.a.stdout, f)
}

// end prints what it comes to.
func (p *findingPrinter) end(r *receipt.Report) error {
	if p.a.quiet {
		return nil
	}
	if p.more > 0 {
		fmt.Fprintf(p.a.stdout, "and %d notes more (-n 0 prints all)\n", p.more)
	}
	_, err := fmt.Fprint(p.a.stdout, r.Summary())
	return err
}

// completeRuns are the newest runs that have ended.
func (a *app) completeRuns(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	f, err := a.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := a.record(f)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	const most = 50
	var ids []string
	runs, _, _ := s.Runs(store.Filter{Limit: most})
	for _, r := range runs {
		if r.Receipt != nil {
			ids = append(ids, r.ID+"\t"+r.Job)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
