package sshconfig

import (
	"iter"
	"strings"

	"linehaul/internal/pattern"
)

// match judges the criteria of a Match line. All must hold. Where the others
// hold and one cannot be judged, the block is left out, and that is noted.
func (r *reader) match(s string, never bool) (bool, error) {
	holds := true
	var unjudged []Note
	for count := 0; ; count++ {
		word, rest, ok := delim(s)
		if !ok {
			return false, r.wrong("Match: a quote is not closed")
		}
		if endsLine(word) {
			if count == 0 {
				return false, r.wrong("Match: there is no criterion")
			}
			break
		}
		name, negated := strings.CutPrefix(pattern.Lower(word), "!")
		if name == "all" {
			// One criterion may stand before it, meant for final.
			if next, _, _ := delim(rest); count > 1 || !endsLine(next) {
				return false, r.wrong("Match: %q cannot be combined with others", name)
			}
			holds = holds && !negated
			break
		}
		hit, note, rest, err := r.criterion(name, rest)
		if err != nil {
			return false, err
		}
		if note != nil {
			note.Keyword, note.Matters = "Match "+word, true
			unjudged = append(unjudged, *note)
		} else if hit == negated {
			holds = false
		}
		s = rest
	}
	if never || !holds {
		return false, nil
	}
	for _, n := range unjudged {
		if err := r.note(n); err != nil {
			return false, err
		}
	}
	return len(unjudged) == 0, nil
}

func endsLine(word string) bool { return word == "" || word[0] == '#' }

// criterion holds one criterion against what is known so far, and returns what
// follows it. The note says why that cannot be done.
func (r *reader) criterion(name, s string) (hit bool, note *Note, rest string, err error) {
	if name == "final" || name == "canonical" {
		r.wantFinal = r.wantFinal || name == "final"
		return r.final, nil, s, nil
	}
	arg, rest, ok := delim(s)
	if !ok || endsLine(arg) {
		return false, nil, "", r.wrong("Match: nothing stands after %q", name)
	}
	switch name {
	case "host":
		host := r.target
		if !r.final {
			if host, err = r.hostName(); err != nil {
				return false, nil, "", err
			}
		}
		hit = matchList(pattern.Lower(host), pattern.Lower(arg))
	case "originalhost":
		hit = matchList(pattern.Lower(r.q.Host), pattern.Lower(arg))
	case "user":
		hit = matchList(r.user(), arg)
	case "localuser":
		hit = matchList(r.o.LocalUser, arg)
	case "exec":
		note = &Note{Value: program(arg), Why: "no command is run to find out: the block is left out"}
	default:
		note = &Note{Value: shorten(arg), Why: "it is not found out here: the block is left out"}
	}
	return hit, note, rest, nil
}

// matchList holds a name against patterns separated by commas.
func matchList(name, list string) bool { return matchPatterns(name, strings.SplitSeq(list, ",")) }

// matchPatterns reports whether a pattern matches and no negated one does.
func matchPatterns(name string, patterns iter.Seq[string]) bool {
	found := false
	for each := range patterns {
		plain, negated := strings.CutPrefix(each, "!")
		if !pattern.Match(plain, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}
