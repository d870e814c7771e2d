package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"linehaul/preflight"
	"linehaul/store"
)

// recordedRun is a run with what is kept beside its record.
type recordedRun struct {
	store.Run
	// LineRates are how fast it went on, and what the line was like.
	LineRates []preflight.Rate `json:"line_rates,omitempty"`
}

// historyRun shows one run.
func (a *app) historyRun(s *store.Store, run store.Run) error {
	r := recordedRun{Run: run}
	if _, err := s.Attachment(run, store.LineRates, &r.LineRates); err != nil {
		a.note("warning: %v", err)
	}
	if a.json {
		return a.printJSON(r)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("run", "%s", run.ID)
	row("job", "%s", run.Job)
	row("host", "%s", run.Host)
	if run.Address != "" {
		row("address", "%s", run.Address)
	}
	if k := run.HostKey; k != nil {
		row("host key", "%s %s", k.Type, k.Fingerprint)
	}
	row("started", "%s by %s", run.Started.Format(time.DateTime), run.Trigger)
	if run.Node != "" {
		row("node", "%s", run.Node)
	}
	if run.Take > 1 {
		row("taken over", "%d times, as the process that had it was gone", run.Take-1)
	}
	if !run.Ended.IsZero() {
		row("took", "%s", run.Ended.Sub(run.Started).Round(100*time.Millisecond))
	}
	if p := run.PutOff; p != nil {
		row("put off", "%d times since %s: %s", p.Times, p.Since.Format(time.DateTime), p.Reason)
	}
	if n := len(run.Attempts); n > 1 || run.Reconnects > 0 {
		row("attempts", "%d, reconnected %d times", n, run.Reconnects)
	}
	files, bytes := progressText(run)
	row("files", "%s moved, %d failed, %d left alone", files, run.Failed, run.Skipped)
	row("bytes", "%s", bytes)
	if l := run.Link; l != nil {
		row("link", "%s, %s in, %s out", l.Name, bytesText(l.Received), bytesText(l.Sent))
	}
	if l := run.Line; l != nil {
		row("round trip", "%s", tripText(l))
		row("line", "%s", lossText(l))
	}
	row("result", "%s", resultText(run))
	if run.Hint != "" {
		row("hint", "%s", run.Hint)
	}
	if p := run.Receipt; p != nil {
		row("receipt", "number %d, SHA-256 %s", p.Seq, p.Hash)
	}
	if run.LogPath != "" {
		row("log", "%s", run.LogPath)
	}
	return w.Flush()
}

// tripText is how long the line was.
func tripText(l *store.Line) string {
	text := fmt.Sprintf("%.1f ms (median), %.1f ms (95th percentile)", l.RTTMS, l.RTT95MS)
	if l.Knows("min_rtt_ms") {
		text += fmt.Sprintf(", %.1f ms (shortest)", l.MinRTTMS)
	}
	return text
}

// lossText says what a line lost, as far as this end of it can know.
func lossText(l *store.Line) string {
	if !l.Knows("resent_share") {
		return fmt.Sprintf("%d segments retransmitted, %d came out of order", l.Resent, l.OutOfOrder)
	}
	resent := fmt.Sprintf("retransmitted %s (%d of %d segments)", l.Retransmitted(), l.Resent, l.Sent)
	switch {
	case l.Outward():
		return resent
	case !l.Knows("out_of_order"):
		return resent + "; of what came in, nobody counts what was lost"
	}
	return fmt.Sprintf("%d segments came out of order, as those do that follow a lost one; %s of what went out", l.OutOfOrder, resent)
}
