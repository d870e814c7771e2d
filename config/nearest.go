package config

import (
	"strings"
	"unicode"
)

// Nearest returns the one of known that word was most likely meant to be, or
// an empty string if none is near.
func Nearest(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	w := plainSpelling(word)
	for _, k := range known {
		if d := distance(w, plainSpelling(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// plainSpelling drops what people mix up most: case, and the separators.
func plainSpelling(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// distance is the number of characters to insert, delete, replace or swap with
// a neighbour that make b of a (optimal string alignment). Words that are too
// long to be keys, or of very different length, are far apart.
func distance(a, b string) int {
	const tooLong = 64
	if len(a) > tooLong || len(b) > tooLong || max(len(a), len(b)) > 2*min(len(a), len(b))+2 {
		return tooLong
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			next[j+1] = min(row[j]+change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
