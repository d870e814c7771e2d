package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/tunnel"
)

func (a *app) tunnelCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "tunnel",
		Short: "Bring up a link, show what tunnels are doing, let other programs through",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.tunnelUpCmd(), a.tunnelStatusCmd(), a.tunnelProxyCmd())
	return c
}

func (a *app) tunnelUpCmd() *cobra.Command {
	var o lookFlags
	c := &cobra.Command{
		Use:   "up LINK",
		Short: "Bring up a link and keep it, in the foreground",
		Long: `Log in to the gateway of a link and stay until stopped, with a line for each
event: connecting, up, rekeyed, lost and why, reconnecting, down. If the first
login fails, that is the end (exit code 4); a tunnel that was up and is lost comes
up again. The gateway is told when it ends.

The tunnel is this process's: nothing else on the machine goes through it.
` + "`linehaul tunnel proxy`" + ` lets other programs in.`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeLinks,
		RunE: func(c *cobra.Command, args []string) error {
			return a.holdUp(c.Context(), args[0], o, nil)
		},
	}
	o.add(c.Flags())
	return c
}

// completeLinks offers the names of the config's links to a shell.
func (a *app) completeLinks(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	f, err := a.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return linkNames(f), cobra.ShellCompDirectiveNoFileComp
}

// lostWait is how long a link that is held up waits after it went down.
func lostWait() job.Retry { return job.Retry{Min: time.Second, Max: time.Minute} }

// holdUp keeps a link up until ctx ends, and runs what is beside it.
func (a *app) holdUp(ctx context.Context, name string, o lookFlags, beside func(ctx context.Context, s *tunnel.Shared) error) error {
	lines := newEventLines(a)
	defer lines.end()
	a.watch(lines.connecting, lines.event)
	if err := a.look(o); err != nil {
		return err
	}
	if _, err := a.load(); err != nil {
		return err
	}
	s, link, err := a.ways().Tunnel(name)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // it returns none
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan error, 1)
	go func() {
		defer close(done)
		if beside != nil {
			if err := beside(ctx, s); err != nil {
				cancel(err)
				done <- err
			}
		}
	}()
	wait := func(failures int) time.Duration { return lostWait().Wait(failures, rand.Float64()) } //nolint:gosec // no secret
	var first error
	err = s.Keep(ctx, wait, func(err error, d time.Duration) {
		if !lines.wasUp() {
			first = err
			cancel(err)
			return
		}
		lines.lost(link, err, d)
	})
	cancel(err)
	if besideErr := <-done; besideErr != nil {
		return besideErr
	}
	if first != nil {
		return first
	}
	return err
}

// An eventLine is what --json prints of an event.
type eventLine struct {
	Time   time.Time      `json:"time"`
	Link   string         `json:"link"`
	Event  string         `json:"event"` // connecting, up, ike_rekeyed, esp_rekeyed, lost, reconnecting, down
	Layer  string         `json:"layer,omitempty"`
	Error  string         `json:"error,omitempty"`
	Hint   string         `json:"hint,omitempty"`
	Wait   float64        `json:"wait_seconds,omitempty"`
	Status *tunnel.Status `json:"status,omitempty"`

	text string
}

// eventLines prints events in their order, without letting the tunnel wait for
// whoever reads.
type eventLines struct {
	a     *app
	lines chan eventLine
	done  chan struct{}
	up    chan struct{} // closed when it has been up
}

// mostLines is how many may wait to be printed. More are lost: nobody reads.
const mostLines = 1000

func newEventLines(a *app) *eventLines {
	l := &eventLines{a: a, lines: make(chan eventLine, mostLines), done: make(chan struct{}), up: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			l.print(line)
		}
	}()
	return l
}

// end prints what is left. The tunnel has ended.
func (l *eventLines) end() {
	close(l.lines)
	<-l.done
}

func (l *eventLines) wasUp() bool {
	select {
	case <-l.up:
		return true
	default:
		return false
	}
}

func (l *eventLines) add(line eventLine) {
	line.Time = l.a.now()
	select {
	case l.lines <- line:
	default:
	}
}

func (l *eventLines) print(line eventLine) {
	switch {
	case l.a.json:
		fmt.Fprintf(l.a.stdout, "%s\n", jsonLine(line))
	case !l.a.quiet:
		fmt.Fprintf(l.a.stdout, "%s %s: %s\n", line.Time.Format(time.DateTime), line.Link, printable(line.text))
	}
}

func (l *eventLines) connecting(link *config.Link) {
	l.add(eventLine{Link: link.Name, Event: "connecting", text: fmt.Sprintf("connecting to %s as %s", link.Gateway, link.Local.String())})
}

func (l *eventLines) event(link *config.Link, e tunnel.Event, s tunnel.Status) {
	line := eventLine{Link: link.Name, Status: &s}
	switch e {
	case tunnel.CameUp:
		if !l.wasUp() {
			close(l.up)
		}
		line.Event, line.text = "up", upText(s)
	case tunnel.RekeyedIKE:
		line.Event, line.text = "ike_rekeyed", "IKE rekeyed"
		if len(s.IKE) > 0 {
			line.text += ": " + s.IKE[0].InitiatorSPI + "/" + s.IKE[0].ResponderSPI
		}
	case tunnel.RekeyedESP:
		line.Event, line.text = "esp_rekeyed", "ESP rekeyed"
		for _, c := range s.Children {
			if c.InUse {
				line.text += ": in " + c.InSPI + ", out " + c.OutSPI
			}
		}
	case tunnel.WentDown:
		if s.Error != "" || s.Since.IsZero() {
			return // who keeps it up says why
		}
		line.Event = "down"
		line.text = fmt.Sprintf("down after %s, %s received, %s sent", ageText(l.a.now(), s.Since), bytesText(int64(s.In.Bytes)), bytesText(int64(s.Out.Bytes)))
	}
	l.add(line)
}

// lost says why a tunnel has ended that was up, or could not come up again.
func (l *eventLines) lost(link *config.Link, err error, wait time.Duration) {
	l.add(eventLine{
		Link: link.Name, Event: "lost", Layer: fault.KindOf(err).String(), Error: err.Error(), Hint: fault.HintOf(err),
		text: "lost: " + fault.Line(err),
	})
	l.add(eventLine{Link: link.Name, Event: "reconnecting", Wait: wait.Seconds(), text: "reconnecting in " + wait.Round(100*time.Millisecond).String()})
}

// upText says in one line what a tunnel that came up is.
func upText(s tunnel.Status) string {
	text := "up: " + joined(s.Addresses) + " here"
	if len(s.Networks) > 0 {
		text += ", " + joined(s.Networks) + " there"
	}
	text += fmt.Sprintf("; gateway %s at %s", s.RemoteID, s.Remote)
	if len(s.IKE) > 0 {
		text += "; IKE " + s.IKE[0].Suite
	}
	for _, c := range s.Children {
		if c.InUse {
			text += fmt.Sprintf("; ESP %s, in %s, out %s", c.Suite, c.InSPI, c.OutSPI)
		}
	}
	return text
}

func joined[T netip.Addr | netip.Prefix](all []T) string {
	var parts []string
	for _, a := range all {
		parts = append(parts, fmt.Sprint(a))
	}
	return strings.Join(parts, ", ")
}
