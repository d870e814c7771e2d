package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/tunnel"
	"linehaul/tunnel/bulletin"
)

func (a *app) tunnelStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status [LINK]",
		Short: "Show the IKE and ESP associations of running tunnels",
		Long: `Show what the tunnels of this config are doing: those of ` + "`linehaul serve`" + `, of
` + "`linehaul tunnel up`" + ` and ` + "`proxy`" + `, and of runs and transfers that go on now, whichever
process has them. There is a line for each tunnel, for each IKE SA, and for each
ESP SA, of which there is one in each direction. What is shown is up to a second
old. With a LINK it is an error if that is not up (exit code 4).`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.completeLinks,
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return a.tunnelStatus(name)
		},
	}
}

// tunnelRow is one tunnel of `linehaul tunnel status`, and who has it.
type tunnelRow struct {
	PID     int       `json:"pid"`
	Verb    string    `json:"verb"`
	Written time.Time `json:"written"`
	tunnel.Status
}

func linkNames(f *config.File) []string { return slices.Sorted(maps.Keys(f.Links)) }

func (a *app) tunnelStatus(name string) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	if name != "" && f.Links[name] == nil {
		return fault.New(fault.Usage, "no link %q in %s", name, f.Path).WithHint("its links are: %s", strings.Join(linkNames(f), ", "))
	}
	rows, err := tunnelRows(tunnelsDir(f), name)
	if err != nil {
		return err
	}
	up := slices.ContainsFunc(rows, func(r tunnelRow) bool { return r.State == "up" })
	switch {
	case a.json:
		if err := a.printJSON(rows); err != nil {
			return err
		}
	case len(rows) == 0:
		if name == "" {
			a.note("no tunnel is up")
		}
	default:
		if err := a.printTunnels(rows); err != nil {
			return err
		}
	}
	if name == "" || up {
		return nil
	}
	why := ""
	for _, r := range rows {
		why = cmp.Or(r.Error, why)
	}
	if why != "" {
		why = ": " + why
	}
	err = fault.New(fault.IKE, "link %q is not up%s", name, why).
		WithHint("`linehaul tunnel up %s` brings it up; `serve` does when a job needs it, or always with `keep: true`", name)
	if a.json {
		return reported{err}
	}
	return err
}

// tunnelRows are the tunnels that running processes have, of one link if it has
// a name.
func tunnelRows(dir, name string) ([]tunnelRow, error) {
	notices, err := bulletin.Read(dir)
	if err != nil {
		return nil, err
	}
	rows := []tunnelRow{}
	for _, n := range notices {
		var all []tunnel.Status
		if err := json.Unmarshal(n.Content, &all); err != nil {
			return nil, fault.New(fault.Internal, "what process %d says of its tunnels: %w", n.PID, err)
		}
		for _, s := range all {
			if name == "" || s.Link == name {
				rows = append(rows, tunnelRow{n.PID, n.Verb, n.Written, s})
			}
		}
	}
	return rows, nil
}

// printTunnels prints the tables.
func (a *app) printTunnels(rows []tunnelRow) error {
	now := a.now()
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINK\tSTATE\tFOR\tADDRESS\tGATEWAY\tDPD\tNAT\tIN\tOUT\tPROCESS")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s (%d)\n", r.Link, r.State, ageText(now, r.Since), dash(joined(r.Addresses)),
			gatewayText(r.Status), dpdText(now, r.Status), natText(r.Status), bytesText(int64(r.In.Bytes)), bytesText(int64(r.Out.Bytes)), r.Verb, r.PID)
	}
	ike, esp := 0, 0
	for _, r := range rows {
		ike, esp = ike+len(r.IKE), esp+len(r.Children)
	}
	if ike > 0 {
		fmt.Fprintln(w, "\nIKE SAs\nLINK\tINITIATOR SPI\tRESPONDER SPI\tLOCAL ID\tREMOTE ID\tALGORITHMS\tAGE\tREKEY IN")
	}
	for _, r := range rows {
		for _, s := range r.IKE {
			initiator, responder := s.InitiatorSPI+"*", s.ResponderSPI
			if !s.Initiator {
				initiator, responder = s.InitiatorSPI, s.ResponderSPI+"*"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Link, initiator, responder, printable(r.LocalID), dash(printable(r.RemoteID)), s.Suite,
				ageText(now, s.Made), rekeyText(now, s.Rekey, s.Leaving))
		}
	}
	if esp > 0 {
		fmt.Fprintln(w, "\nESP SAs\nLINK\tDIR\tSPI\tFROM\tTO\tCARRIES\tALGORITHMS\tPACKETS\tBYTES\tREPLAYED\tBAD ICV\tAGE\tREKEY IN")
	}
	for _, r := range rows {
		for _, c := range r.Children {
			local, remote := strings.Join(c.Local, ","), strings.Join(c.Remote, ",")
			fmt.Fprintf(w, "%s\tin\t%s\t%s\t%s\t%s > %s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", r.Link, c.InSPI, r.Remote.Addr(), r.Local.Addr(), remote, local, c.Suite,
				c.In.Packets, c.In.Bytes, c.Dropped.Replayed, c.Dropped.BadICV, ageText(now, c.Made), rekeyText(now, c.Rekey, c.Leaving))
			out := "out"
			if !c.InUse {
				out = "(out)" // nothing is sent by it
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s > %s\t%s\t%d\t%d\t-\t-\t%s\t%s\n", r.Link, out, c.OutSPI, r.Local.Addr(), r.Remote.Addr(), local, remote, c.Suite,
				c.Out.Packets, c.Out.Bytes, ageText(now, c.Made), rekeyText(now, c.Rekey, c.Leaving))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Error != "" {
			fmt.Fprintf(a.stdout, "\n%s: %s\n", r.Link, printable(r.Error))
		}
	}
	return nil
}

func gatewayText(s tunnel.Status) string {
	if !s.Remote.IsValid() {
		return dash(s.Gateway)
	}
	return s.Remote.String()
}

// dpdText says whether the gateway is there, and since when nothing came.
func dpdText(now time.Time, s tunnel.Status) string {
	switch {
	case s.DPD.State == "":
		return "-"
	case s.DPD.State == "silent":
		return fmt.Sprintf("silent for %s, asked %d times", ageText(now, s.DPD.Unanswered), s.DPD.Tries)
	case s.DPD.Heard.IsZero():
		return s.DPD.State
	}
	return s.DPD.State + ", heard " + ageText(now, s.DPD.Heard) + " ago"
}

// natText says where there is a NAT, or a gateway that says so.
func natText(s tunnel.Status) string {
	switch {
	case s.NATHere && s.NATThere:
		return "both"
	case s.NATHere:
		return "here"
	case s.NATThere:
		return "there"
	}
	return "no"
}

// ageText is how long ago an instant was.
func ageText(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return spanText(now.Sub(then))
}

func rekeyText(now, then time.Time, leaving bool) string {
	switch {
	case leaving:
		return "leaving"
	case then.IsZero():
		return "-"
	}
	return spanText(then.Sub(now))
}

// spanText writes a time in its two largest units.
func spanText(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
