package pattern_test

import (
	"strings"
	"testing"
	"time"

	"linehaul/internal/pattern"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "any.host", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false},
		{"h?st", "host", true}, {"h?st", "hst", false}, {"[127.0.0.*]:*", "[127.0.0.1]:22201", true}, {"[ab]", "a", false},
		{"*.example", "www.example", true}, {"*.example", "example", false}, {"HOST", "host", false}, {"**a**", "bab", true},
	} {
		if got := pattern.Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
	began := time.Now()
	if pattern.Match(strings.Repeat("*a", 1000)+"b", strings.Repeat("a", 10000)) || time.Since(began) > 10*time.Second {
		t.Errorf("a hostile pattern took %v", time.Since(began))
	}
}

func TestLower(t *testing.T) {
	if got := pattern.Lower("HostÄ.Example"); got != "hostÄ.example" {
		t.Errorf("got %q", got)
	}
}
