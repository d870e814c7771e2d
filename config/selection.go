package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/stamp"
	"linehaul/transfer"
)

// selectionKeys are the keys of a job that say which files it takes, in the
// order in which the command line shows them.
func selectionKeys() []string {
	return []string{
		"include", "exclude", "min_size", "max_size", "min_age", "max_age", "only_new", "newest", "settle", "hidden", "symlinks", "depth", "names",
	}
}

// ByLedger is the word of only_new for what a job has moved before.
const ByLedger = "ledger"

// selection reads those keys.
func (r *rules) selection(s *jobEntry, to *stamp.Template) transfer.Select {
	sel := transfer.Select{
		Include: r.globs(&s.Include), Exclude: r.globs(&s.Exclude),
		MinSize: s.MinSize.value, MaxSize: s.MaxSize.value, MinAge: s.MinAge.value, MaxAge: s.MaxAge.value,
		OnlyNew: s.OnlyNew.value, Ledger: s.OnlyNew.way == ByLedger, Newest: s.Newest.value, NoHidden: !s.Hidden.value,
		Symlinks: transfer.Links(s.Symlinks.value), Depth: s.Depth.value, Names: transfer.Names(s.Names.value),
	}
	if s.Settle.given {
		var err error
		if sel.Settle, sel.Sentinel, err = parseSettle(s.Settle.value); err != nil {
			r.problem(s.Settle.at, "`settle`: %v", err).suggest("%s", fault.HintOf(err))
		}
	}
	if s.MaxSize.given && s.MaxSize.value == 0 {
		r.problem(s.MaxSize.at, "`max_size` wants at least 1").suggest("remove the line, if any size will do")
	}
	if s.MinSize.given && s.MaxSize.given && s.MaxSize.value > 0 && s.MinSize.value > s.MaxSize.value {
		r.problem(s.MinSize.at, "`min_size` is above `max_size`, so no file is taken")
	}
	if s.MaxAge.given && s.MaxAge.value == 0 {
		r.problem(s.MaxAge.at, "`max_age` wants a duration above 0").suggest("remove the line, if any age will do")
	}
	if s.MinAge.given && s.MaxAge.given && s.MaxAge.value > 0 && s.MinAge.value > s.MaxAge.value {
		r.problem(s.MinAge.at, "`min_age` is above `max_age`, so no file is taken")
	}
	if s.Symlinks.given && sel.Symlinks == transfer.CopyLinks && to != nil && to.PerFile() {
		r.problem(s.Symlinks.at, "`symlinks: copy` wants a folder as target, and `to` names each file: the links would lead nowhere").
			suggest("let `to` end in /, without {name} or {path}")
	}
	return sel
}

// globs reads patterns, and reports each that is none where it stands.
func (r *rules) globs(t *texts) []string {
	var all []string
	for _, item := range t.items {
		if err := (transfer.Select{Include: []string{item.value}}).Check(); err != nil {
			r.problem(item.at, "`%s`: %s is no pattern", item.at.name, quote(item.value)).suggest("%s", fault.HintOf(err))
			continue
		}
		all = append(all, item.value)
	}
	return all
}

// parseSettle reads a duration, or the form of a sentinel's name.
func parseSettle(s string) (time.Duration, string, error) {
	if d, ok := parseDuration(s); ok {
		if d == 0 {
			return 0, "", fault.New(fault.Usage, "no time at all is no time to settle").WithHint("remove it, or write a duration such as 30s")
		}
		return d, "", nil
	}
	if !strings.Contains(s, "{") {
		return 0, "", fault.New(fault.Usage, "%q is no duration, and no name of a file beside another one", s).
			WithHint("write a duration such as 30s, or {name}.ok for a.csv.ok beside a.csv, or {stem}.ok for a.ok")
	}
	return 0, s, (transfer.Select{Sentinel: s}).Check()
}

// A SelectionFlag is one of the keys that say which files a job takes, as the
// command line has it.
type SelectionFlag struct {
	Name    string // with dashes
	Usage   string // with the name of its value in backquotes
	Switch  bool   // it is true or false
	Default string // as the config spells it
	// Set reads a value into a selection. Patterns add up.
	Set func(to *transfer.Select, value string) error
}

// SelectionFlags are all of them.
func SelectionFlags() []SelectionFlag {
	var all []SelectionFlag
	keys := fields(reflect.TypeFor[jobEntry]())
	for _, key := range selectionKeys() {
		for _, f := range keys {
			if f.name == key {
				all = append(all, f.selectionFlag())
			}
		}
	}
	return all
}

func (f field) selectionFlag() SelectionFlag {
	isFlag := false
	switch reflect.New(f.kind).Interface().(type) {
	case *flag, *newness:
		isFlag = true
	}
	return SelectionFlag{
		Name: strings.ReplaceAll(f.name, "_", "-"), Usage: f.flag, Switch: isFlag, Default: f.preset,
		Set: func(to *transfer.Select, value string) error { return f.choose(to, value) },
	}
}

// choose reads the value of one key as the config would.
func (f field) choose(to *transfer.Select, value string) error {
	var bytes int64
	var length time.Duration
	var count int
	var yes bool
	ok, wants := true, ""
	switch reflect.New(f.kind).Interface().(type) {
	case *size:
		bytes, ok = parseSize(value)
		wants = wantsSize
	case *duration:
		length, ok = parseDuration(value)
		wants = wantsDuration
	case *number:
		var err error
		count, err = strconv.Atoi(value)
		ok = err == nil && isDecimal(value) && f.least <= count && count <= f.most
		wants = fmt.Sprintf("a number from %d to %d", f.least, f.most)
	case *newness:
		var err error
		yes, err = strconv.ParseBool(value)
		yes = yes || value == ByLedger
		ok, wants = err == nil || value == ByLedger, "true, false or "+ByLedger
	case *flag:
		var err error
		yes, err = strconv.ParseBool(value)
		ok, wants = err == nil, "true or false"
	case *choice:
		ok, wants = slices.Contains(f.choices, value), "one of "+strings.Join(f.choices, ", ")
	}
	if !ok {
		return fault.New(fault.Usage, "%q: want %s", value, wants)
	}
	var err error
	switch f.name {
	case "include":
		to.Include = append(to.Include, value)
	case "exclude":
		to.Exclude = append(to.Exclude, value)
	case "min_size":
		to.MinSize = bytes
	case "max_size":
		to.MaxSize = bytes
	case "min_age":
		to.MinAge = length
	case "max_age":
		to.MaxAge = length
	case "only_new":
		to.OnlyNew, to.Ledger = yes, value == ByLedger
	case "newest":
		to.Newest = count
	case "settle":
		to.Settle, to.Sentinel, err = parseSettle(value)
	case "hidden":
		to.NoHidden = !yes
	case "symlinks":
		to.Symlinks = transfer.Links(value)
	case "depth":
		to.Depth = count
	case "names":
		to.Names = transfer.Names(value)
	}
	return err
}
