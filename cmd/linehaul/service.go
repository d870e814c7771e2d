package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/winsvc"
)

// serviceName is what the service is called everywhere.
const serviceName = "linehaul"

func (a *app) serviceCmd() *cobra.Command {
	user := ""
	c := &cobra.Command{
		Use:   "service",
		Short: "Run the schedule as a service of the system",
		Long: `Run the schedule as a Windows service, systemd unit, launchd job or rc script.
Installing wants the rights of an administrator. The service reads the config
that --config names or that is found now, by its absolute path.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	verb := func(use, short string, do func(context.Context, *winsvc.Service) error) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: usageArgs(cobra.NoArgs),
			RunE: func(c *cobra.Command, _ []string) error {
				s, err := a.service(use == "install", user)
				if err != nil {
					return err
				}
				if err := do(c.Context(), s); err != nil {
					return err
				}
				a.note("service %s: %s done", serviceName, use)
				return nil
			},
		}
	}
	install := verb("install", "Install the service and have it start with the system", func(ctx context.Context, s *winsvc.Service) error { return s.Install(ctx) })
	install.Flags().StringVar(&user, "user", "", "run as this `USER` (default: the system's account)")
	c.AddCommand(
		install,
		verb("uninstall", "Stop the service and remove it", func(ctx context.Context, s *winsvc.Service) error { return s.Uninstall(ctx) }),
		verb("start", "Start the service", func(ctx context.Context, s *winsvc.Service) error { return s.Start(ctx) }),
		verb("stop", "Stop the service and wait until it has ended", func(ctx context.Context, s *winsvc.Service) error { return s.Stop(ctx) }),
		verb("restart", "Stop and start the service", func(ctx context.Context, s *winsvc.Service) error { return s.Restart(ctx) }),
		&cobra.Command{
			Use: "status", Short: "Say whether the service is installed and runs", Args: usageArgs(cobra.NoArgs),
			RunE: func(c *cobra.Command, _ []string) error { return a.serviceStatus(c.Context()) },
		},
	)
	return c
}

// service describes the service. Only installing needs the config.
func (a *app) service(withConfig bool, user string) (*winsvc.Service, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	s := &winsvc.Service{
		Name: serviceName, DisplayName: "linehaul", Executable: exe, User: user,
		Description: "Moves files on a schedule over links that can be trusted",
	}
	if !withConfig {
		return s, nil
	}
	f, err := a.load()
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(f.Path)
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "find %q: %w", f.Path, err)
	}
	s.WorkingDir = filepath.Dir(path)
	s.Arguments = []string{"serve", "--service", serviceName, "--config", path}
	return s, nil
}

// serviceState is what `service status --json` prints.
type serviceState struct {
	Service string `json:"service"`
	State   string `json:"state"`
	System  string `json:"system"`
}

func (a *app) serviceStatus(ctx context.Context) error {
	s, err := a.service(false, "")
	if err != nil {
		return err
	}
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(serviceState{serviceName, status.String(), winsvc.System()})
	}
	fmt.Fprintf(a.stdout, "%s: %s (%s)\n", serviceName, status, winsvc.System())
	return nil
}
