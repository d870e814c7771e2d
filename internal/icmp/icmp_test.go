package icmp_test

import (
	"testing"

	"linehaul/internal/icmp"
)

// TestMeaning: each code of "unreachable" has words of its own, and a meaning.
func TestMeaning(t *testing.T) {
	for _, tt := range []struct {
		e    icmp.Error
		want icmp.Meaning
		text string
	}{
		{icmp.Error{Type: 3, Code: 0}, icmp.NoRoute, "network unreachable"},
		{icmp.Error{Type: 3, Code: 3}, icmp.PortUnreachable, "port unreachable"},
		{icmp.Error{Type: 3, Code: 4}, icmp.TooBig, "packet too big"},
		{icmp.Error{Type: 3, Code: 13}, icmp.Prohibited, "communication administratively prohibited"},
		{icmp.Error{Type: 3, Code: 99}, icmp.NoRoute, "destination unreachable, code 99"},
		{icmp.Error{Type: 11}, icmp.Exceeded, "time exceeded on the way"},
		{icmp.Error{Type: 11, Code: 1}, icmp.Other, "fragments came too late"},
		{icmp.Error{Type: 12}, icmp.Other, "parameter problem"},
		{icmp.Error{Type: 5}, icmp.Other, "ICMP type 5, code 0"},
		{icmp.Error{V6: true, Type: 1, Code: 0}, icmp.NoRoute, "no route to destination"},
		{icmp.Error{V6: true, Type: 1, Code: 4}, icmp.PortUnreachable, "port unreachable"},
		{icmp.Error{V6: true, Type: 1, Code: 6}, icmp.Prohibited, "route to destination rejected"},
		{icmp.Error{V6: true, Type: 1, Code: 99}, icmp.NoRoute, "destination unreachable, code 99"},
		{icmp.Error{V6: true, Type: 2}, icmp.TooBig, "packet too big"},
		{icmp.Error{V6: true, Type: 3}, icmp.Exceeded, "time exceeded on the way"},
		{icmp.Error{V6: true, Type: 4}, icmp.Other, "parameter problem"},
		{icmp.Error{V6: true, Type: 11}, icmp.Other, "ICMP type 11, code 0"},
	} {
		if got, text := tt.e.Meaning(), tt.e.String(); got != tt.want || text != tt.text {
			t.Errorf("%+v: %v %q, want %v %q", tt.e, got, text, tt.want, tt.text)
		}
	}
	seen := map[string]bool{}
	for code := range uint8(14) {
		for _, e := range []icmp.Error{{Type: 3, Code: code}, {V6: true, Type: 1, Code: code % 7}} {
			if e.Meaning() == icmp.Other {
				t.Errorf("%+v means nothing", e)
			}
			if !e.V6 && seen[e.String()] {
				t.Errorf("%q is said of two codes", e)
			}
			seen[e.String()] = !e.V6
		}
	}
}
