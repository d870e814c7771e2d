package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/keys"
	"linehaul/keys/puttyhosts"
)

// imported is what `hosts import --json` prints.
type imported struct {
	Source     string        `json:"source"`
	KnownHosts string        `json:"known_hosts"`
	DryRun     bool          `json:"dry_run"`
	Keys       []importedKey `json:"keys"`
	LeftOut    []leftOut     `json:"left_out"`
}

// importedKey is one key of PuTTY's, and what became of it.
type importedKey struct {
	From        string    `json:"from"`
	Host        string    `json:"host"`
	Port        int       `json:"port"`
	Type        string    `json:"type"`
	Fingerprint string    `json:"fingerprint"`
	Status      keyStatus `json:"status"`
	Known       string    `json:"known,omitempty"` // of a conflict: what is known instead, and where
	Line        string    `json:"line"`            // for known_hosts, added or not
}

// leftOut is an entry of PuTTY's that is no key for known_hosts.
type leftOut struct {
	From   string `json:"from"`
	Reason string `json:"reason"`
}

type importOptions struct {
	from, knownHosts string
	dryRun           bool
}

func (a *app) hostsImportCmd() *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:   "import",
		Short: "Add the host keys that PuTTY has cached to known_hosts",
		Long: `Add the host keys that PuTTY, plink, pscp and psftp have cached for this user to
known_hosts: on Windows from the registry, elsewhere from ~/.putty/sshhostkeys.
They are the keys that somebody said yes to when PuTTY asked.

Lines are only ever added. A key that is known already is left at that; where
another key of the same type is known for the host, nothing is added for it, and
the exit code is 5. Entries that are no use (SSH-1, Ed448, damaged) are named
and left out.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.hostsImport(c.Context(), o) },
	}
	c.Flags().StringVar(&o.from, "from", "", "PuTTY's `FILE` of host keys (default: where PuTTY keeps them here)")
	c.Flags().StringVar(&o.knownHosts, "known-hosts", "", "known_hosts `FILE` to add to (default: the user's)")
	c.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "show what would be added, and add nothing")
	return c
}

func (a *app) hostsImport(ctx context.Context, o importOptions) error {
	cache, err := a.readPuTTY(o.from)
	if err != nil {
		return err
	}
	file, err := a.ownKnownHosts(o.knownHosts)
	if err != nil {
		return err
	}
	files := a.knownHosts()
	if o.knownHosts != "" {
		files = []string{o.knownHosts}
	}
	known, err := a.judge(files...)
	if err != nil {
		return err
	}
	report := sortKeys(cache, known)
	report.KnownHosts, report.DryRun = file, o.dryRun
	if !o.dryRun {
		if err := appendKnown(ctx, file, report.lines()...); err != nil {
			return err
		}
	}
	conflict := report.conflict()
	if a.json {
		if err := a.printJSON(report); err != nil || conflict == nil {
			return err
		}
		return reported{conflict}
	}
	a.printImported(report)
	return conflict
}

// readPuTTY reads a file of PuTTY's, or what PuTTY has on this system.
func (a *app) readPuTTY(from string) (*puttyhosts.Cache, error) {
	if from != "" {
		return puttyhosts.ReadFile(from)
	}
	cache, err := puttyhosts.Read(a.env)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NoMatch, "PuTTY has cached no host keys for this user: %w", err).
			WithHint("name PuTTY's file with --from FILE, or run this as the user whose PuTTY it is")
	}
	return cache, err
}

// sortKeys says of each key of the cache whether it is known, and puts it in
// line for known_hosts. Two of PuTTY's names may be one there, as case counts
// for PuTTY: the first of them is taken, and a different second is a conflict.
func sortKeys(cache *puttyhosts.Cache, known *keys.HostKeys) *imported {
	r := &imported{Source: cache.Source, Keys: []importedKey{}, LeftOut: []leftOut{}}
	for _, p := range cache.Problems {
		r.LeftOut = append(r.LeftOut, leftOut{p.Place, p.Reason})
	}
	first := map[string]importedKey{} // by name and type, of those to add
	for _, e := range cache.Entries {
		key, err := keys.ParseHostKey(e.Blob)
		if err != nil {
			r.LeftOut = append(r.LeftOut, leftOut{e.Place, err.Error()})
			continue
		}
		sha256, _ := keys.Fingerprints(key)
		row := importedKey{
			From: e.Place, Host: e.Host, Port: e.Port, Type: key.Type(), Fingerprint: sha256,
			Line: keys.KnownHostsLine(e.Host, e.Port, key),
		}
		row.Status, row.Known = judged(known.Check(e.Host, e.Port, key), row.Type)
		if row.Status == keyAdded {
			name := row.Line[:strings.LastIndexByte(row.Line, ' ')]
			before, again := first[name]
			switch {
			case !again:
				first[name] = row
			case before.Line == row.Line:
				row.Status = keyKnown
			default:
				row.Status, row.Known = keyConflict, fmt.Sprintf("%s %s (%s)", before.Type, before.Fingerprint, before.From)
			}
		}
		r.Keys = append(r.Keys, row)
	}
	return r
}

// lines are those to add to known_hosts.
func (r *imported) lines() []string {
	var lines []string
	for _, k := range r.Keys {
		if k.Status == keyAdded {
			lines = append(lines, k.Line)
		}
	}
	return lines
}

func (r *imported) count(s keyStatus) int {
	n := 0
	for _, k := range r.Keys {
		if k.Status == s {
			n++
		}
	}
	return n
}

// conflict is the error for the keys that contradict known_hosts, nil if none
// does.
func (r *imported) conflict() error {
	n := r.count(keyConflict) + r.count(keyRevoked)
	for _, k := range r.Keys {
		if k.Status != keyConflict && k.Status != keyRevoked {
			continue
		}
		more := ""
		if n > 1 {
			more = fmt.Sprintf(", and so for %d more", n-1)
		}
		return fault.New(fault.HostKeyChanged, "PuTTY's key of %s port %d is not the known one: PuTTY has %s %s, known is %s%s",
			k.Host, k.Port, k.Type, k.Fingerprint, k.Known, more).
			WithHint("nothing was added for it: ask the server's administrator which fingerprint is right, and take the other out where it stands")
	}
	return nil
}

func (a *app) printImported(r *imported) {
	for _, l := range r.LeftOut {
		a.note("warning: %s: left out: %s", printable(l.From), l.Reason)
	}
	for _, k := range r.Keys {
		switch k.Status {
		case keyAdded:
			word := "added"
			if r.DryRun {
				word = "would add"
			}
			fmt.Fprintf(a.stdout, "%s %s %s\n  %s\n", word, k.Type, k.Fingerprint, k.Line)
		case keyConflict, keyRevoked:
			fmt.Fprintf(a.stdout, "%s: %s port %d: PuTTY has %s %s, known is %s\n", k.Status, k.Host, k.Port, k.Type, k.Fingerprint, k.Known)
		case keyKnown:
		}
	}
	added := "added to"
	if r.DryRun {
		added = "to add to"
	}
	a.note("%d %s %s, %d known already, %d in conflict, %d left out", r.count(keyAdded), added, r.KnownHosts,
		r.count(keyKnown), r.count(keyConflict)+r.count(keyRevoked), len(r.LeftOut))
}

// What PuTTY's cache says of a key that a server shows.
const (
	cacheSame  = "same"  // it is there
	cacheOther = "other" // another key of its type is there
)

// puttyCache is what PuTTY on this machine knows, for a remark beside a
// server's keys; nil if it knows nothing or cannot be read.
type puttyCache []puttyhosts.Entry

func (a *app) puttyCache() puttyCache {
	cache, err := puttyhosts.Read(a.env)
	if err != nil {
		return nil
	}
	return cache.Entries
}

// compare looks up a key that a server shows.
func (c puttyCache) compare(host string, port int, keyType string, blob []byte) string {
	found := ""
	for _, e := range c {
		if e.Port != port || !strings.EqualFold(e.Host, host) {
			continue
		}
		if bytes.Equal(e.Blob, blob) {
			return cacheSame
		}
		if e.Type == keyType {
			found = cacheOther
		}
	}
	return found
}
