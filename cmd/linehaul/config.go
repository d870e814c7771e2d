package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/transfer/remote"
)

func (a *app) configCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Validate the config, write a first one, print its schema",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use:   "check [FILE]",
			Short: "Read the config and show every error in it",
			Args:  usageArgs(cobra.MaximumNArgs(1)),
			RunE: func(_ *cobra.Command, args []string) error {
				if len(args) > 0 {
					a.configPath = args[0]
				}
				return a.configCheck()
			},
		},
		&cobra.Command{
			Use:   "init [FILE]",
			Short: "Write a commented first config (default: ./linehaul.yaml)",
			Args:  usageArgs(cobra.MaximumNArgs(1)),
			RunE: func(_ *cobra.Command, args []string) error {
				path := a.configPath
				if len(args) > 0 {
					path = args[0]
				}
				return a.configInit(path)
			},
		},
		&cobra.Command{
			Use:   "schema",
			Short: "Print the JSON Schema of the config, for editors",
			Args:  usageArgs(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				schema, err := config.Schema()
				if err != nil {
					return err
				}
				_, err = a.stdout.Write(append(schema, '\n'))
				return err
			},
		},
	)
	return c
}

// checked is what `config check --json` prints.
type checked struct {
	File     string           `json:"file"`
	OK       bool             `json:"ok"`
	Hosts    int              `json:"hosts"`
	Jobs     int              `json:"jobs"`
	Warnings []config.Problem `json:"warnings"`
}

func (a *app) configCheck() error {
	f, err := a.load()
	if err != nil {
		return err
	}
	// Files that the config names are part of what is checked: a known_hosts
	// that is absent fails tonight otherwise.
	warnings := append([]config.Problem{}, f.Warnings...)
	for _, name := range f.HostOrder {
		h, err := job.HostFromConfig(f, name, a.place())
		if err != nil {
			return err
		}
		warnings = append(warnings, a.notHonoured(name, h)...)
	}
	if a.json {
		return a.printJSON(checked{f.Path, true, len(f.Hosts), len(f.Jobs), warnings})
	}
	if len(warnings) > 0 {
		fmt.Fprint(a.stderr, config.Errors(warnings).Report())
	}
	if !a.quiet {
		fmt.Fprintf(a.stdout, "%s: ok, %d hosts, %d jobs\n", f.Path, len(f.Hosts), len(f.Jobs))
	}
	return nil
}

// notHonoured lists what the OpenSSH configuration of a host, and of those on
// the way to it, asks for in vain; with -v also what makes no difference.
func (a *app) notHonoured(name string, h *remote.Host) []config.Problem {
	var all []config.Problem
	for at := h; at != nil; at = at.Jump {
		for _, w := range at.Warnings {
			if w.Minor && !a.verbose {
				continue
			}
			all = append(all, config.Problem{
				File: w.File, Line: w.Line, Column: 1, Key: "hosts." + name,
				Message: fmt.Sprintf("for %s, %s is not honoured: %s", at.Name, w.What, w.Why),
			})
		}
	}
	return all
}

func (a *app) configInit(path string) error {
	if path == "" {
		path = "linehaul.yaml"
	}
	if path == "-" {
		_, err := a.stdout.Write(config.Sample())
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // others may look, not write
		return fault.New(fault.LocalDisk, "make the folder of %q: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Usage, "%q exists already", path).WithHint("name another file, or `-` to print the example")
	}
	if err != nil {
		return fault.New(fault.LocalDisk, "create %q: %w", path, err)
	}
	_, err = f.Write(config.Sample())
	if err := errors.Join(err, f.Close()); err != nil {
		return fault.New(fault.LocalDisk, "write %q: %w", path, err)
	}
	a.note("wrote %s: change the host, then `linehaul config check %s`", path, path)
	return nil
}
