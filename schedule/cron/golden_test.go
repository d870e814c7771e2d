package cron_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/schedule/cron"
)

// changes are the clock changes of 2026 in four zones: the usual two, one at
// midnight, and one of half an hour.
func changes() map[string][]time.Time {
	return map[string][]time.Time{
		"America/New_York":    {utc(2026, 3, 8, 7, 0), utc(2026, 11, 1, 6, 0)},
		"Europe/Berlin":       {utc(2026, 3, 29, 1, 0), utc(2026, 10, 25, 1, 0)},
		"America/Santiago":    {utc(2026, 4, 5, 3, 0), utc(2026, 9, 6, 4, 0)},
		"Australia/Lord_Howe": {utc(2026, 4, 4, 15, 0), utc(2026, 10, 3, 15, 30)},
	}
}

// goldenExprs are looked at from a day before a change to a day after it, or,
// as they fire often, for a few hours only.
func goldenExprs() (daily, often [][]string) {
	daily = [][]string{
		{"@daily"},
		{"30 0 * * *"},
		{"30 1 * * *"},
		{"0 2 * * *"},
		{"30 2 * * *"},
		{"15,45 2 * * *"},
		{"*/15 2 * * *"},
		{"30 2-3 * * *"},
		{"0 1-5 * * *"},
		{"0 */6 * * *"},
		{"30 23 * * *"},
		{"15 2 * * sun"},
		{"@every 24h"},
		{"0 2 * * *", "0 3 * * *"},
	}
	often = [][]string{
		{"0 */2 * * *"},
		{"@hourly"},
		{"15 * * * *"},
		{"45 0-23 * * *"},
		{"*/30 * * * *"},
		{"*/20 * * * *"},
		{"*/30 1-5 * * *"},
		{"30 */45 * * * *"},
		{"@every 1h"},
		{"@every 40m"},
	}
	return daily, often
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden prints what fires around each change. The lists in testdata are
// to be read: each line is one firing.
func TestGolden(t *testing.T) {
	for zone, around := range changes() {
		t.Run(zone, func(t *testing.T) {
			loc := load(t, zone)
			var b strings.Builder
			fmt.Fprintf(&b, "# What fires around the clock changes of 2026 in %s.\n", zone)
			fmt.Fprintf(&b, "# Written by `go test -run TestGolden -update`.\n")
			for _, change := range around {
				before := change.Add(-time.Second).In(loc)
				after := change.In(loc)
				if _, offset := before.Zone(); offset == zoneOffset(after) {
					t.Fatalf("no change at %v", change)
				}
				fmt.Fprintf(&b, "\n## %s is followed by %s\n", before.Format(stampForm), after.Format(stampForm))
				daily, often := goldenExprs()
				for _, e := range daily {
					list(t, &b, loc, e, change.Add(-26*time.Hour), change.Add(26*time.Hour))
				}
				for _, e := range often {
					list(t, &b, loc, e, change.Add(-150*time.Minute), change.Add(150*time.Minute))
				}
			}
			compare(t, filepath.Join("testdata", strings.ToLower(filepath.Base(zone))+".golden"), b.String())
		})
	}
}

const stampForm = "Mon 2006-01-02 15:04:05 -0700"

func list(t *testing.T, b *strings.Builder, loc *time.Location, exprs []string, from, to time.Time) {
	s := parse(t, loc, exprs...)
	fmt.Fprintf(b, "\n%s\n", s)
	for at := s.Next(from); at.Before(to); at = s.Next(at) {
		fmt.Fprintf(b, "    %s\n", at.Format(stampForm))
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(string(file), "\r\n", "\n") // as git may check it out on Windows
	if got == want {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("%s, line %d: got %q, want %q", name, i+1, gotLines[i], wantLines[i])
		}
	}
	t.Fatalf("%s: got %d lines, want %d", name, len(gotLines), len(wantLines))
}

func zoneOffset(t time.Time) int {
	_, offset := t.Zone()
	return offset
}

func utc(y, m, d, h, min int) time.Time {
	return time.Date(y, time.Month(m), d, h, min, 0, 0, time.UTC)
}

func load(t testing.TB, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t testing.TB, loc *time.Location, exprs ...string) *cron.Schedule {
	t.Helper()
	s, err := cron.Parse(loc, exprs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
