package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/transfer"
)

// TestSelectionFlags: the command line has a flag for each key, with a help of
// its own, and reads values as the config does.
func TestSelectionFlags(t *testing.T) {
	values := map[string][]string{
		"include": {"*.gz", "/exports/**"}, "exclude": {"cache/", "*~"}, "min-size": {"1"}, "max-size": {"2GiB"}, "min-age": {"10m"}, "max-age": {"7d"},
		"only-new": {"true"}, "newest": {"3"}, "settle": {"30s"}, "hidden": {"false"}, "symlinks": {"copy"}, "depth": {"4"}, "names": {"map"},
	}
	var got transfer.Select
	seen := map[string]bool{}
	for _, f := range config.SelectionFlags() {
		seen[f.Name] = true
		if len(f.Usage) < 15 || !f.Switch && strings.Count(f.Usage, "`") != 2 || f.Switch && strings.Contains(f.Usage, "`") {
			t.Errorf("--%s: %q", f.Name, f.Usage)
		}
		for _, v := range values[f.Name] {
			if err := f.Set(&got, v); err != nil {
				t.Errorf("--%s %s: %v", f.Name, v, err)
			}
		}
		var before transfer.Select
		for _, bad := range []string{"a[", "nonsense", "-1", ""} {
			if f.Name == "include" || f.Name == "exclude" {
				continue // Select.Check holds them together
			}
			if err := f.Set(&before, bad); !fault.Is(err, fault.Usage) {
				t.Errorf("--%s %q: %v", f.Name, bad, err)
			}
		}
	}
	if len(seen) != len(values) {
		t.Errorf("saw %v, want %d flags", seen, len(values))
	}
	f := decode(t, "testdata/good/everything.yaml")
	if want := f.Jobs["fetch"].Select; !reflect.DeepEqual(got, want) {
		t.Errorf("by flags %+v\nby the config %+v", got, want)
	}
	for _, f := range config.SelectionFlags() {
		if f.Name == "only-new" {
			for value, want := range map[string]transfer.Select{"true": {OnlyNew: true}, "false": {}, "ledger": {OnlyNew: true, Ledger: true}} {
				s := transfer.Select{OnlyNew: true, Ledger: true}
				if err := f.Set(&s, value); err != nil || !reflect.DeepEqual(s, want) {
					t.Errorf("--only-new=%s: %+v, %v", value, s, err)
				}
			}
		}
		if f.Name != "settle" {
			continue
		}
		var s transfer.Select
		if err := f.Set(&s, "{name}.done"); err != nil || s.Sentinel != "{name}.done" || s.Settle != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if err := f.Set(&s, "1m30s"); err != nil || s.Sentinel != "" || s.Settle != 90*time.Second {
			t.Errorf("%+v, %v", s, err)
		}
	}
}
