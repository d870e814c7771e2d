package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/transfer"
)

// listed is one entry as `ls --json` prints it.
type listed struct {
	Name  string    `json:"name"`
	Size  int64     `json:"size"`
	Mode  string    `json:"mode"`
	MTime time.Time `json:"mtime"`
	Dir   bool      `json:"dir,omitempty"`
	Link  bool      `json:"link,omitempty"`
}

func (a *app) lsCmd() *cobra.Command {
	var o hostFlags
	c := &cobra.Command{
		Use:     "ls [flags] TARGET",
		Short:   "List a remote folder",
		Long:    "List a remote folder, or the files that a pattern with wildcards matches.\nTARGET is spelled as SOURCE is for get.",
		Example: "  linehaul ls hk1:/var/backups\n  linehaul ls 'jephe@192.0.2.10:*.txt'",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE:    func(c *cobra.Command, args []string) error { return a.ls(c.Context(), args[0], o) },
	}
	o.add(c)
	return c
}

func (a *app) ls(ctx context.Context, arg string, o hostFlags) error {
	t, isRemote, err := parseTarget(arg)
	if err != nil {
		return err
	}
	if !isRemote {
		return fault.New(fault.Usage, "%q is not on a server", arg).WithHint("write host:path or user@address:path")
	}
	h, err := a.host(t, o)
	if err != nil {
		return err
	}
	conn, err := a.connect(ctx, h)
	if err != nil {
		return err
	}
	defer conn.Close()
	files, err := conn.Files(ctx)
	if err != nil {
		return err
	}
	entries, err := list(ctx, files, t.path)
	if err != nil {
		return err
	}
	return a.printEntries(entries)
}

// list reads a folder, a single file, or what a pattern matches.
func list(ctx context.Context, r transfer.Remote, p string) ([]transfer.Entry, error) {
	if transfer.HasWildcard(p) {
		items, err := transfer.Collect(transfer.Find{}.Remote(ctx, r, p))
		var entries []transfer.Entry
		for _, i := range items {
			e := i.Entry
			e.Name = i.Source
			entries = append(entries, e)
		}
		if err == nil && len(entries) == 0 {
			err = fault.New(fault.NoMatch, "nothing matches %q", p)
		}
		return entries, err
	}
	if p == "" {
		p = "."
	}
	e, err := r.Stat(ctx, p)
	if err != nil {
		return nil, err
	}
	if !e.Mode.IsDir() {
		e.Name = path.Base(p)
		return []transfer.Entry{e}, nil
	}
	entries, err := r.List(ctx, p)
	slices.SortFunc(entries, func(a, b transfer.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, err
}

func (a *app) printEntries(entries []transfer.Entry) error {
	if a.json {
		rows := []listed{}
		for _, e := range entries {
			rows = append(rows, listed{e.Name, e.Size, e.Mode.String(), e.MTime, e.Mode.IsDir(), e.Mode&fs.ModeSymlink != 0})
		}
		return a.printJSON(rows)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, e := range entries {
		name := printable(e.Name)
		if e.Mode.IsDir() {
			name += "/"
		}
		fmt.Fprintf(w, "%s\t%12d\t%s\t%s\n", e.Mode, e.Size, e.MTime.Local().Format("2006-01-02 15:04:05"), name)
	}
	return w.Flush()
}

// printable quotes a name that would not show as it is: a server may send
// control characters that a terminal obeys.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
