package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"linehaul/transfer"
)

// Sync makes a get or put a mirror: afterwards its target holds what its one
// source, a folder, does.
type Sync struct {
	// Compare is CompareSizeTime or CompareHash.
	Compare string
	// Delete removes from the target what the source does not have, and
	// DeleteExcluded what the selection leaves out by name, too.
	Delete, DeleteExcluded bool
	MaxDelete              Share
}

// How files that both sides have are told apart.
const (
	CompareSizeTime = "size-time"
	CompareHash     = "hash"
)

// A Share is a number of things, or a percentage of all that there are.
type Share struct {
	Count   int
	Percent bool // Count is one
}

// anyShare is how many of few things a percentage lets go: of three files, one
// is a third.
const anyShare = 10

// Allows reports whether n of so many are within the share. A percentage
// always allows ten.
func (s Share) Allows(n, of int) bool {
	if s.Percent {
		return n <= anyShare || float64(n)*100 <= float64(s.Count)*float64(of)
	}
	return n <= s.Count
}

func (s Share) String() string {
	if s.Percent {
		return strconv.Itoa(s.Count) + "%"
	}
	return strconv.Itoa(s.Count)
}

const (
	sharePattern = `^([0-9]{1,9}|[0-9]{1,2}%|100%)$`
	wantsShare   = "a number such as 100, or a percentage such as 50%"
)

var shareForm = regexp.MustCompile(sharePattern)

// ParseShare reads a number or a percentage.
func ParseShare(text string) (Share, error) {
	if !shareForm.MatchString(text) {
		return Share{}, fmt.Errorf("%q: want %s", text, wantsShare)
	}
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	return Share{n, percent}, err
}

// share is a number or a percentage.
type share struct {
	mark
	value Share
}

func (v *share) take(d *decoder, n ast.Node, at spot, _ field) {
	value, place := "", d.place(n, at)
	if i, ok := n.(*ast.IntegerNode); ok {
		value = i.Token.Value
	} else {
		var t text
		if !t.read(d, n, at, wantsShare) {
			return
		}
		value = t.value
	}
	var err error
	if v.value, err = ParseShare(value); err != nil {
		d.problem(place, "`%s` wants %s, got %s", at.name, wantsShare, quote(value))
		return
	}
	v.set(place, true)
}

func (v *share) preset(text string, at spot) {
	v.set(at, false)
	v.value, _ = ParseShare(text)
}

// SyncDefault is a mirror that deletes nothing.
func SyncDefault() Sync {
	most, _ := ParseShare(maxDelete)
	return Sync{Compare: CompareSizeTime, MaxDelete: most}
}

// maxDelete is the default of max_delete.
const maxDelete = "50%"

// sync reads the source and the target of a job that mirrors.
func (r *rules) sync(j *Job, s *jobEntry) {
	j.Sync = &Sync{Compare: s.Compare.value, Delete: s.Delete.value, DeleteExcluded: s.DeleteExcluded.value, MaxDelete: s.MaxDelete.value}
	j.Recursive = true
	from := &s.Sync
	name, _, found := strings.Cut(from.value, ":")
	remote := found && slices.Contains(r.hosts, name)
	if transfer.HasWildcard(strings.TrimPrefix(from.value, name+":")) {
		r.problem(from.at, "`sync` wants a folder, and %s has wildcards", quote(from.value)).
			suggest("name the folder, and choose with `include` and `exclude`")
		return
	}
	switch {
	case remote:
		host, source, ok := r.hostPath(from)
		if !ok {
			return
		}
		j.Host, j.Get = host.value, []string{source.value}
		if source.value == "" {
			j.Get = []string{"."}
		}
		if s.To.given && r.isLocal(&s.To) {
			j.To = r.localTemplate(&s.To)
		}
	default:
		p, err := r.localPattern(from.value)
		if err != nil {
			r.problem(from.at, "`sync` %s: %v", quote(from.value), err)
			return
		}
		j.Put = []string{p}
		if !s.To.given {
			return
		}
		host, target, ok := r.hostPath(&s.To)
		if !ok {
			return
		}
		j.Host, j.To = host.value, r.template(target, target.value, 0)
	}
	if j.To != nil && j.To.PerFile() {
		r.problem(s.To.at, "`to` names each file, and a mirror is a folder").suggest("remove {name}, {path} and what else depends on the file")
	}
}

// syncOnly reports keys that a mirror alone has, and those that it cannot have.
func (r *rules) syncOnly(s *jobEntry) {
	if !s.Sync.given {
		for _, m := range []mark{s.Compare.mark, s.Delete.mark, s.DeleteExcluded.mark, s.MaxDelete.mark} {
			if m.given {
				r.problem(m.at, "`%s` is for a job with `sync`", m.at.name).suggest("remove it, or write `sync` for `get` or `put`")
			}
		}
		return
	}
	if s.OnlyNew.value {
		r.problem(s.OnlyNew.at, "`only_new` has no meaning with `sync`, which leaves alone what the target has anyway").suggest("remove it")
	}
	if s.After.Source.given && s.After.Source.word != SourceKeep {
		r.problem(s.After.Source.at, "`after` has no meaning with `sync`: what is gone from the source is gone from its mirror").suggest("remove it, or write `get` or `put`")
	}
	k := &s.Keep
	for _, m := range []mark{k.Last.mark, k.Daily.mark, k.Weekly.mark, k.Monthly.mark, k.Yearly.mark, k.Within.mark} {
		if m.given {
			r.problem(m.at, "`keep` has no meaning with `sync`: a mirror holds no dated copies").suggest("remove it, or write `get` or `put`")
			break
		}
	}
	if s.DeleteExcluded.value && !s.Delete.value {
		r.problem(s.DeleteExcluded.at, "`delete_excluded` needs `delete: true`")
	}
}
