package main

import (
	"slices"

	"github.com/spf13/pflag"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/stamp"
	"linehaul/transfer"
)

// selectFlags say which files are taken. They are the keys of a job, with
// their meaning and description.
type selectFlags struct{ chosen transfer.Select }

func (o *selectFlags) add(f *pflag.FlagSet, without ...string) {
	for _, s := range config.SelectionFlags() {
		if slices.Contains(without, s.Name) {
			continue
		}
		flag := f.VarPF(&selectValue{flag: s, to: &o.chosen, text: s.Default}, s.Name, "", s.Usage)
		if s.Switch {
			flag.NoOptDefVal = "true"
		}
	}
}

// check holds the flags against each other, and against the target.
func (o *selectFlags) check(dest *stamp.Template) error {
	if err := o.chosen.Check(); err != nil {
		return err
	}
	if o.chosen.Ledger {
		return fault.New(fault.Usage, "--only-new=%s is for jobs: what is moved by hand is in no ledger", config.ByLedger).
			WithHint("write a job with `only_new: %s` into the config, or use --only-new, which goes by what the target has", config.ByLedger)
	}
	if o.chosen.Symlinks == transfer.CopyLinks && dest.PerFile() {
		return fault.New(fault.Usage, "--symlinks copy wants a folder as target, and %q names each file: the links would lead nowhere", dest.String()).
			WithHint("let the target end in /, without {name} or {path}")
	}
	return nil
}

// A selectValue is one of the flags.
type selectValue struct {
	flag config.SelectionFlag
	to   *transfer.Select
	text string
}

func (v *selectValue) Set(text string) error {
	v.text = text
	return v.flag.Set(v.to, text)
}

func (v *selectValue) String() string { return v.text }

// Type is what the help calls a flag that is given or not.
func (v *selectValue) Type() string {
	if v.flag.Switch {
		return "bool"
	}
	return "string"
}
