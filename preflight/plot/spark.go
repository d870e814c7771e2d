package plot

import (
	"strings"
)

// Lost stands in the values of a Spark for what did not come back.
const Lost = -1

// Spark draws values in one line of at most so many characters, from 0 to the
// highest of them. What is Lost is a cross. Where several values share a
// character it shows the highest, or the cross if any of them is Lost.
func Spark(values []float64, width int, ascii bool) string {
	levels, lost := []rune("▁▂▃▄▅▆▇█"), '×'
	if ascii {
		levels, lost = []rune("_.-~=*#"), 'x'
	}
	columns := min(len(values), max(width, 1))
	most := 0.0
	for _, v := range values {
		most = max(most, Finite(v))
	}
	var b strings.Builder
	for i := range columns {
		high, gone := 0.0, false
		for _, v := range values[i*len(values)/columns : (i+1)*len(values)/columns] {
			high, gone = max(high, Finite(v)), gone || v == Lost
		}
		switch {
		case gone:
			b.WriteRune(lost)
		case most == 0:
			b.WriteRune(levels[0])
		default:
			b.WriteRune(levels[min(int(high/most*float64(len(levels))), len(levels)-1)])
		}
	}
	return b.String()
}
