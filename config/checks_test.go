package config_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/config"
	"linehaul/preflight"
)

// checksOf is what a job asks with these checks.
func checksOf(t *testing.T, checks string) (config.Checks, error) {
	t.Helper()
	text := "hosts:\n  hk1: {address: 192.0.2.10, user: jephe}\njobs:\n  j: {get: 'hk1:/x', to: got/, " + checks + "}\n"
	f, err := config.Decode(filepath.Join(t.TempDir(), "linehaul.yaml"), []byte(text))
	if err != nil {
		return config.Checks{}, err
	}
	return f.Jobs["j"].Checks, nil
}

// TestCheckLevels: what a check is without a word, with one, and with a mapping
// that says how it is to be asked.
func TestCheckLevels(t *testing.T) {
	for _, tt := range []struct {
		checks, check string
		want          preflight.Level
	}{
		{"checks: {}", preflight.CheckPort, preflight.Require},
		{"checks: {}", preflight.CheckPing, preflight.Warning},
		{"checks: {}", preflight.CheckTrace, preflight.Off},
		{"checks: {port: off}", preflight.CheckPort, preflight.Off},
		{"checks: {port: {also: 8022}}", preflight.CheckPort, preflight.Require},
		{"checks: {ping: {count: 3}}", preflight.CheckPing, preflight.Warning},
		{"checks: {ping: {count: 3, on_fail: require}}", preflight.CheckPing, preflight.Require},
		{"checks: {trace: {method: udp}}", preflight.CheckTrace, preflight.Warning}, // else it would say nothing
		{"checks: {clock: {on_fail: require}}", preflight.CheckClock, preflight.Require},
		{"space_check: false", preflight.CheckSpace, preflight.Off},
		{"space_check: false, checks: {space: warn}", preflight.CheckSpace, preflight.Warning},
	} {
		c, err := checksOf(t, tt.checks)
		if err != nil || c.Of(tt.check) != tt.want {
			t.Errorf("%s: %s is %q, want %q; %v", tt.checks, tt.check, c.Of(tt.check), tt.want, err)
		}
	}
}

// TestBadChecks: each is refused with what would be right.
func TestBadChecks(t *testing.T) {
	for _, tt := range []struct{ checks, want string }{
		{"checks: {port: required}", "did you mean `require`?"},
		{"checks: {ping: {max_loss: 5}}", "a percentage such as 5%"},
		{"checks: {ping: {interval: 1ms}}", "`interval` wants at least 10ms"},
		{"checks: {port: {also: 99999}}", "a port such as 8022 or 123/udp"},
		{"checks: {pong: warn}", "`ping`"},
	} {
		_, err := checksOf(t, tt.checks)
		var problems config.Errors
		if !errors.As(err, &problems) || !strings.Contains(problems.Report(), tt.want) {
			t.Errorf("%s: got %v\n%s\nwant ...%s...", tt.checks, err, problems.Report(), tt.want)
		}
	}
}
