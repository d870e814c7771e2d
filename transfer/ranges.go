package transfer

import "slices"

// A span is a part of a file: the bytes from From up to, and without, To.
type span struct{ From, To int64 }

func (s span) size() int64 { return s.To - s.From }

// ranges are parts of a file: in order, apart from each other, none empty. The
// zero value is none.
type ranges []span

// add puts a part in, and joins it with what it touches.
func (r *ranges) add(s span) {
	if s.From >= s.To {
		return
	}
	i, _ := slices.BinarySearchFunc(*r, s.From, func(t span, from int64) int {
		if t.To < from {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(*r) && (*r)[j].From <= s.To; j++ {
		s.From, s.To = min(s.From, (*r)[j].From), max(s.To, (*r)[j].To)
	}
	*r = slices.Replace(*r, i, j, s)
}

// take removes up to n bytes from the front and returns them; an empty span if
// there are none.
func (r *ranges) take(n int64) span {
	if len(*r) == 0 {
		return span{}
	}
	s := (*r)[0]
	if s.size() <= n {
		*r = (*r)[1:]
		return s
	}
	s.To = s.From + n
	(*r)[0].From = s.To
	return s
}

// size is the number of bytes in all.
func (r ranges) size() int64 {
	var n int64
	for _, s := range r {
		n += s.size()
	}
	return n
}

// missing are the parts of a file of that size that r lacks.
func (r ranges) missing(size int64) ranges {
	var m ranges
	at := int64(0)
	for _, s := range r {
		m.add(span{at, s.From})
		at = s.To
	}
	m.add(span{at, size})
	return m
}

// prefix is how far the file is there without a gap from its beginning.
func (r ranges) prefix() int64 {
	if len(r) == 0 || r[0].From > 0 {
		return 0
	}
	return r[0].To
}

// valid reports whether r are parts of a file of that size, in order.
func (r ranges) valid(size int64) bool {
	at := int64(-1)
	for _, s := range r {
		if s.From <= at || s.From >= s.To || s.To > size {
			return false
		}
		at = s.To
	}
	return true
}
