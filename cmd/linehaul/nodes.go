package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) nodesCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "nodes",
		Short: "List the processes that share the record and live",
		Long: `List the processes that use the record of runs now: those that serve, on this
machine or, with store: in the config, on others, and those that run a job by hand.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return a.nodes() },
	}
}

func (a *app) nodes() error {
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	nodes, err := s.Nodes()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(nodes)
	}
	if len(nodes) == 0 {
		a.note("nobody serves, and no job runs")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tPROCESS\tDOES\tRUNNING\tSINCE\tVERSION\tLABELS")
	for _, n := range nodes {
		does := "runs by hand"
		if n.Serves {
			does = "serves"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%s\t%s\n", n.Name, n.PID, does, n.Running, n.Started.Format(time.DateTime), n.Version, dash(strings.Join(n.Labels, ", ")))
	}
	return w.Flush()
}
