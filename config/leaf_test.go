package config

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	good := map[string]time.Duration{
		"30s": 30 * time.Second, "0s": 0, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute,
		"7d": 7 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "10000d": 10000 * day,
	}
	for s, want := range good {
		if got, ok := parseDuration(s); !ok || got != want {
			t.Errorf("%s: %v, %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "30", "-30s", "+30s", "30 s", "s", "5y", "1.2.3s", "30S", "1e3s", "200000w", "999999999999999999999h", strings.Repeat("1s", 40)} {
		if got, ok := parseDuration(s); ok {
			t.Errorf("%q: %v, want a refusal", s, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	good := map[string]int64{
		"0": 0, "1048576": 1 << 20, "512k": 512 << 10, "512K": 512 << 10, "10MiB": 10 << 20, "10MB": 10_000_000, "10M": 10 << 20,
		"1.5GiB": 3 << 29, "2 GB": 2_000_000_000, "1kB": 1000, "100B": 100, "1T": 1 << 40,
	}
	for s, want := range good {
		if got, ok := parseSize(s); !ok || got != want {
			t.Errorf("%s: %v, %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "k", "-1", "10 potatoes", "10iB", "10mb", "1e9", "99999999999T", "1,5M", "0x10"} {
		if got, ok := parseSize(s); ok {
			t.Errorf("%q: %v, want a refusal", s, got)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	good := map[string]struct {
		address string
		port    int
	}{
		"hk1":                          {"hk1", 0},
		"hk1.example.net:2222":         {"hk1.example.net", 2222},
		"hk1.example.net.":             {"hk1.example.net.", 0},
		"10.20.0.5":                    {"10.20.0.5", 0},
		"10.20.0.5:22":                 {"10.20.0.5", 22},
		"2001:db8::5":                  {"2001:db8::5", 0},
		"[2001:DB8::5]":                {"2001:db8::5", 0},
		"[2001:db8::5]:65535":          {"2001:db8::5", 65535},
		"fe80::1%eth0":                 {"fe80::1%eth0", 0},
		"[fe80::1%eth0]:22":            {"fe80::1%eth0", 22},
		"büro_1.example":               {"büro_1.example", 0},
		strings.Repeat("a", 63) + ":1": {strings.Repeat("a", 63), 1},
	}
	for s, want := range good {
		if address, port, err := splitAddress(s); err != nil || address != want.address || port != want.port {
			t.Errorf("%s: %q, %d, %v, want %v", s, address, port, err, want)
		}
	}
	for _, s := range []string{
		"hk1:", "hk1:0", "hk1:65536", "hk1:ssh", "hk1:+22", ":22", "", "a b", "u@hk1", "ssh://hk1", "[10.0.0.1]:22", "[hk1]:22",
		"[2001:db8::5", "[2001:db8::5]22", "2001:db8::5:x", "-x", "a..b", "a/b", "a;b", "$(x)", strings.Repeat("a", 64), strings.Repeat("a.", 130),
	} {
		if address, port, err := splitAddress(s); err == nil {
			t.Errorf("%q: %q, %d, want an error", s, address, port)
		}
	}
}

func TestForeignPaths(t *testing.T) {
	tests := []struct {
		path          string
		windows, unix bool // whether it is accepted there
	}{
		{`D:\backup\x`, true, false},
		{`d:/backup/x`, true, false},
		{`D:backup`, false, false},
		{`D:`, false, false},
		{`\\server\share\x`, true, false},
		{`backup\x`, true, true},
		{`/srv/x`, true, true},
		{`hk1:x`, true, true},
		{`1:\x`, true, true},
	}
	for _, tt := range tests {
		if got := foreign(tt.path, true) == nil; got != tt.windows {
			t.Errorf("%s on Windows: accepted %v, want %v", tt.path, got, tt.windows)
		}
		if got := foreign(tt.path, false) == nil; got != tt.unix {
			t.Errorf("%s on Unix: accepted %v, want %v", tt.path, got, tt.unix)
		}
	}
}

func TestWindowsDevices(t *testing.T) {
	for _, name := range []string{"con", "NUL", "aux.log", "com1", "LPT9.x.y", "COM0", "conin$", "prn"} {
		if !isWindowsDevice(name) {
			t.Errorf("%s is a device", name)
		}
	}
	for _, name := range []string{"console", "nul1", "com", "com10", "x.con", "lpt-1", "comx"} {
		if isWindowsDevice(name) {
			t.Errorf("%s is no device", name)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"address", "user", "keys", "host_keys", "connect_timeout", "to", "get", "put"}
	for word, want := range map[string]string{
		"adress": "address", "adrress": "address", "User": "user", "hostkeys": "host_keys", "host-key": "host_keys", "kyes": "keys",
		"connectTimeout": "connect_timeout", "conect_timeout": "connect_timeout", "too": "to", "gett": "get",
		"colour": "", "x": "", "": "", "timeout": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	p := Problem{File: "a.yaml", Line: 12, Column: 3, Message: "wrong"}
	for _, tt := range []struct {
		problems Errors
		want     string
	}{
		{Errors{p}, "a.yaml:12:3: wrong"},
		{Errors{p, p, p}, "a.yaml:12:3: wrong (and 2 more)"},
	} {
		if got := tt.problems.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := (Errors{}).Report(); got != "" {
		t.Errorf("nothing to report: %q", got)
	}
}

// TestNodeNames: what a node is called by its host's name.
func TestNodeNames(t *testing.T) {
	for host, want := range map[string]string{
		"mover": "mover", "hk1.example.net": "hk1.example.net", "PC 7_ä": "PC-7_", "": "node", "...": "node", "-x.": "x", "büro": "b-ro",
		strings.Repeat("a", 63) + ".b": strings.Repeat("a", 63), "ä": "node",
	} {
		if got := nodeName(host); got != want || !nameForm.MatchString(got) {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 10 * time.Second: "10s", time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 20 * time.Hour: "20h",
		90 * time.Minute: "1h30m", 2*time.Hour + 5*time.Second: "2h0m5s", 1500 * time.Millisecond: "1.5s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
