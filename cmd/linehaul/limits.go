package main

import (
	"cmp"
	"time"

	"github.com/spf13/pflag"

	"linehaul/bandwidth"
	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
)

// limitFlags say what a transfer may take at most.
type limitFlags struct {
	bandwidth     string
	maxTransfer   string
	maxDuration   time.Duration
	filesInFlight int
}

func (o *limitFlags) add(f *pflag.FlagSet) {
	f.StringVar(&o.bandwidth, "bandwidth", "", "how fast it may be at most: a `RATE` such as 2MB/s (bytes) or 16Mbit/s (bits)")
	f.StringVar(&o.maxTransfer, "max-transfer", "", "begin no file that would go over a `SIZE` in all, such as 10GiB (exit code 9 if any is left)")
	f.DurationVar(&o.maxDuration, "max-duration", 0, "stop after that time, and keep what is there for another call to go on with (exit code 8)")
	f.IntVar(&o.filesInFlight, "files-in-flight", 0, "how many files, `N`, are moved at a time (default: 64 or more by SFTP, 4 by SCP)")
}

// limits reads them, with those that the config sets for a host that the target
// names there.
func (a *app) limits(t target, host hostFlags, o limitFlags) (job.Limits, error) {
	l := job.Limits{MaxDuration: o.maxDuration}
	if o.bandwidth != "" {
		rate, err := bandwidth.ParseRate(o.bandwidth)
		if err != nil {
			return l, fault.New(fault.Usage, "--bandwidth: %w", err)
		}
		l.Bandwidth = bandwidth.Always(rate)
	}
	if o.maxTransfer != "" {
		size, ok := config.ParseSize(o.maxTransfer)
		if !ok || size == 0 {
			return l, fault.New(fault.Usage, "--max-transfer %q: want a size such as 500MB or 10GiB", o.maxTransfer)
		}
		l.MaxTransfer = size
	}
	const most = 256
	switch {
	case o.maxDuration < 0:
		return l, fault.New(fault.Usage, "--max-duration %s: want more than 0", o.maxDuration)
	case o.filesInFlight < 0 || o.filesInFlight > most:
		return l, fault.New(fault.Usage, "--files-in-flight %d: want 1 to %d, or 0 for what suits the protocol", o.filesInFlight, most)
	}
	c, f, err := a.namedHost(t, host)
	if err != nil {
		return l, err
	}
	if c != nil {
		l.Shared = job.SharedLimits(f, c.Name, cmp.Or(host.link, c.Link))
	}
	return l, nil
}
