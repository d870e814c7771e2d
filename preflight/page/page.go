// Package page writes a report of package preflight for people: as one HTML
// page with plots, to read, print or attach to a ticket; as Markdown; and as
// JSON for programs.
//
// The page needs nothing but itself. It holds no script, and a
// Content-Security-Policy of its own forbids it to load anything; the plots are
// SVG, drawn here. Its plots are as wide as the window, with letters that keep
// their size: what lies along the line is in percent, what is upright in
// pixels, and labels stand outside of the drawing, which its margin makes room
// for.
//
// A report holds what strangers said: banners, names of routers. All of it is
// cleaned once, by tidy, and escaped where it is written.
package page

import (
	"time"

	"linehaul/preflight"
	"linehaul/preflight/plot"
)

// Options are what a report is shown with. The zero value is good.
type Options struct {
	// Before is an earlier report to compare with, as the last good run's. It is
	// drawn paler, and tables say how much has changed.
	Before *preflight.Report
	// History are the runs before this one, in any order.
	History []plot.Night
	// Zone is what times are written in; nil: the zone that they come in.
	Zone *time.Location
}

// Our own limits: a page is to be read, and sent by mail.
const (
	maxPoints  = 5_000   // drawn of one series; more are thinned out, and the page says so
	maxSamples = 500_000 // looked at, of one series
	maxItems   = 256     // of all other lists
	maxText    = 2_000   // letters of one text
	maxTitled  = 400     // points that say what they are when pointed at
	maxNights  = 1_000   // drawn of the history
)

// clock writes an instant.
func (o Options) clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return o.in(t).Format("2006-01-02 15:04:05 -07:00")
}

// day writes the day of an instant, for the head of a column.
func (o Options) day(t time.Time) string {
	if t.IsZero() {
		return "before"
	}
	return o.in(t).Format("2 Jan 2006")
}

func (o Options) in(t time.Time) time.Time {
	if o.Zone == nil {
		return t
	}
	return t.In(o.Zone)
}
