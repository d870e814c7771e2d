package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"linehaul/fault"
)

// shells are those that completion can be written for, each with the name
// that its file usually has.
func shells() map[string]string {
	return map[string]string{"bash": "linehaul", "zsh": "_linehaul", "fish": "linehaul.fish", "powershell": "linehaul.ps1"}
}

func (a *app) completionCmd() *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Print the completion script of a shell",
		Args:      usageArgs(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Example:   "  linehaul completion bash > /etc/bash_completion.d/linehaul\n  linehaul completion powershell | Out-String | Invoke-Expression",
		RunE:      func(c *cobra.Command, args []string) error { return a.completion(c.Root(), args[0]) },
	}
}

func (a *app) completion(root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(a.stdout, true)
	case "zsh":
		return root.GenZshCompletion(a.stdout)
	case "fish":
		return root.GenFishCompletion(a.stdout, true)
	}
	return root.GenPowerShellCompletionWithDesc(a.stdout)
}

// docsCmd writes what packages ship beside the binary.
func (a *app) docsCmd() *cobra.Command {
	c := &cobra.Command{
		Use:    "docs",
		Short:  "Write man pages and completion scripts into a folder",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		RunE:   func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use:   "man DIR",
			Short: "Write the man pages",
			Args:  usageArgs(cobra.ExactArgs(1)),
			RunE:  func(c *cobra.Command, args []string) error { return a.man(c.Root(), args[0]) },
		},
		&cobra.Command{
			Use:   "completion DIR",
			Short: "Write the completion scripts of all shells",
			Args:  usageArgs(cobra.ExactArgs(1)),
			RunE:  func(c *cobra.Command, args []string) error { return a.completions(c.Root(), args[0]) },
		},
	)
	return c
}

func (a *app) man(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for others to read
		return fault.New(fault.LocalDisk, "make %q: %w", dir, err)
	}
	root.DisableAutoGenTag = true // the same pages from the same source
	header := &doc.GenManHeader{Title: "LINEHAUL", Section: "1", Source: "linehaul " + versionText(), Manual: "linehaul manual"}
	return fault.Wrap(fault.LocalDisk, doc.GenManTree(root, header, dir))
}

func (a *app) completions(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for others to read
		return fault.New(fault.LocalDisk, "make %q: %w", dir, err)
	}
	for shell, name := range shells() {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return fault.New(fault.LocalDisk, "create the %s completion: %w", shell, err)
		}
		b := app{stdout: f}
		err = b.completion(root, shell)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fault.New(fault.LocalDisk, "write the %s completion: %w", shell, err)
		}
	}
	return nil
}
