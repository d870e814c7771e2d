package config_test

import (
	"testing"
	"time"

	"linehaul/bandwidth"
)

func TestBandwidth(t *testing.T) {
	f := decode(t, "testdata/good/bandwidth.yaml")
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, tt := range []struct {
		what string
		t    *bandwidth.Timetable
		at   string // 2026-11-23 is a Monday
		want bandwidth.Rate
	}{
		{"all", f.Bandwidth, "2026-11-23T00:00:00Z", 12.5e6},
		{"hk1 on Monday, 08:00 in Hong Kong", f.Hosts["hk1"].Bandwidth, "2026-11-23T00:00:00Z", 2e6},
		{"hk1 on Monday, 07:59", f.Hosts["hk1"].Bandwidth, "2026-11-22T23:59:00Z", 0},
		{"hk1 on Monday, 05:59", f.Hosts["hk1"].Bandwidth, "2026-11-22T21:59:00Z", 2e6},
		{"hk1 on Saturday, 07:00", f.Hosts["hk1"].Bandwidth, "2026-11-20T23:00:00Z", 4 << 20},
		{"hk2", f.Hosts["hk2"].Bandwidth, "2026-11-23T00:00:00Z", 0},
		{"day on Monday, 08:00 in Singapore", f.Jobs["day"].Bandwidth, "2026-11-23T00:00:00Z", 2e6},
		{"day on Monday, 23:00", f.Jobs["day"].Bandwidth, "2026-11-23T15:00:00Z", 0},
		{"day on Monday, 19:00", f.Jobs["day"].Bandwidth, "2026-11-23T11:00:00Z", 5e5},
		{"plain", f.Jobs["plain"].Bandwidth, "2026-11-23T11:00:00Z", 1.5e6},
	} {
		if got := tt.t.At(at(tt.at)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
	j := f.Jobs["day"]
	equal(t, "max_transfer", j.MaxTransfer, 10<<30)
	equal(t, "max_duration", j.MaxDuration, 2*time.Hour)
	equal(t, "keep_bad", j.KeepBad, true)
	equal(t, "no space check", j.NoSpaceCheck, true)
	equal(t, "space check by default", f.Jobs["plain"].NoSpaceCheck, false)
}
