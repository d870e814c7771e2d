package main

import (
	"context"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
)

// syncFlags are those that sync alone has.
type syncFlags struct {
	moveFlags
	compare        string
	delete         bool
	maxDelete      string
	deleteExcluded bool
}

func (a *app) syncCmd() *cobra.Command {
	var o syncFlags
	c := &cobra.Command{
		Use:   "sync [flags] SOURCE DEST",
		Short: "Make one folder hold what another does",
		Long: `Make the folder DEST hold what the folder SOURCE does. One of them is on a
server: host:path for a host of the config, or user@address:path, or
sftp://user@address:port/path. What is in SOURCE goes into DEST itself. Only
files that differ are moved; modes and times are kept.

With --delete, what SOURCE does not have is deleted from DEST: last, and only if
everything was moved, SOURCE is not empty and both could be listed whole, and
never more than --max-delete. What is excluded stays at DEST, unless
--delete-excluded is given. A file that is in the way of a folder, or a folder
in the way of a file, is replaced with --delete only.`,
		Example: `  linehaul sync --delete deploy@192.0.2.10:/srv/www /backup/www
  linehaul sync --exclude cache/ site/ hk1:/srv/www`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error { return a.sync(c.Context(), args[0], args[1], o) },
	}
	standard := config.SyncDefault()
	f := c.Flags()
	f.StringVar(&o.compare, "compare", standard.Compare, "what tells a file from its copy: `HOW` is size-time, or hash for size and SHA-256")
	f.BoolVar(&o.delete, "delete", false, "delete from DEST what SOURCE does not have")
	f.StringVar(&o.maxDelete, "max-delete", standard.MaxDelete.String(), "delete nothing if it would be more than `N`, a number or a percentage of DEST")
	f.BoolVar(&o.deleteExcluded, "delete-excluded", false, "with --delete, what is left out by its name too")
	o.addShared(c, "only-new")
	return c
}

func (a *app) sync(ctx context.Context, source, dest string, o syncFlags) error {
	mirror := config.SyncDefault()
	mirror.Compare, mirror.Delete, mirror.DeleteExcluded = o.compare, o.delete, o.deleteExcluded
	var err error
	switch mirror.MaxDelete, err = config.ParseShare(o.maxDelete); {
	case err != nil:
		return fault.New(fault.Usage, "--max-delete %w", err)
	case o.compare != config.CompareSizeTime && o.compare != config.CompareHash:
		return fault.New(fault.Usage, "--compare %q: want size-time or hash", o.compare)
	case o.deleteExcluded && !o.delete:
		return fault.New(fault.Usage, "--delete-excluded needs --delete")
	}
	from, fromRemote, err := parseTarget(source)
	if err != nil {
		return err
	}
	to, toRemote, err := parseTarget(dest)
	switch {
	case err != nil:
		return err
	case fromRemote && toRemote:
		return bothRemote(nil, dest)
	case !fromRemote && !toRemote:
		return fault.New(fault.Usage, "neither %q nor %q is on a server", source, dest).WithHint("write host:path or user@address:path for one of them")
	}
	var j *job.Job
	if fromRemote {
		if j, err = a.oneOff("get", from, dest, o.moveFlags); err != nil {
			return err
		}
		if j.Get = []string{from.path}; from.path == "" {
			j.Get = []string{"."}
		}
	} else {
		if j, err = a.oneOff("put", to, to.path, o.moveFlags); err != nil {
			return err
		}
		j.Put = []string{source}
	}
	j.Name, j.Recursive, j.Sync = "sync", true, &job.Sync{Sync: mirror}
	return a.move(ctx, j, o.moveFlags)
}
