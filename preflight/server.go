package preflight

import (
	"context"
	"fmt"
	"math"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// An sshCheck asks what the server is and whether its key is the known one, and
// logs in if that was asked for. Ask's error has its layer as a fault.Kind.
type sshCheck struct {
	ask func(ctx context.Context) (SSH, error)
}

func (c sshCheck) Name() string { return CheckSSH }

func (c sshCheck) Run(ctx context.Context, _ *Found) Finding {
	s, err := c.ask(ctx)
	f := c.judge(ctx, s, err)
	f.SSH = &s
	return f
}

func (c sshCheck) judge(ctx context.Context, s SSH, err error) Finding {
	if err == nil && s.LoggedIn != "" {
		return verdict(CheckSSH, "ssh-login", s.Banner, s.LoggedIn)
	}
	if err == nil {
		return verdict(CheckSSH, "ssh-known", s.Banner, s.HostKey)
	}
	if ctx.Err() != nil && !late(ctx) {
		return verdict(CheckSSH, codeStopped, context.Cause(ctx))
	}
	code, kind := "ssh-lost", fault.KindOf(err)
	switch kind { //nolint:exhaustive // the rest is a connection that was lost
	case fault.SSH:
		code = "ssh-no-server"
	case fault.Stall, fault.Timeout:
		return verdict(CheckSSH, "ssh-mute")
	case fault.HostKeyUnknown:
		code = "ssh-key-unknown"
	case fault.HostKeyChanged:
		code = "ssh-key-changed"
	case fault.Login:
		code = "ssh-refused"
	case fault.Key, fault.Config:
		code = "ssh-own-key"
	}
	f := own(verdict(CheckSSH, code, err), err)
	if code == "ssh-lost" && kind != fault.Internal {
		f.Layer = kind.String()
	}
	return f
}

// A spaceCheck asks for the room in the folder that files are to land in. What
// stands in the way of writing is a fault of the kind LocalDisk or RemoteFile.
type spaceCheck struct {
	ask func(ctx context.Context) (Space, error)
}

func (c spaceCheck) Name() string { return CheckSpace }

func (c spaceCheck) Run(ctx context.Context, _ *Found) Finding {
	s, err := c.ask(ctx)
	f := c.judge(ctx, s, err)
	f.Space = &s
	if f.Verdict == Fail && s.Where != "" && s.Where != Here {
		f.Layer = fault.RemoteFile.String()
	}
	return f
}

// Here is the place of a folder that is on this machine.
const Here = "here"

func (c spaceCheck) judge(ctx context.Context, s Space, err error) Finding {
	folder := fmt.Sprintf("%q", s.Folder)
	if s.Where != "" && s.Where != Here {
		folder += " on " + s.Where
	}
	switch {
	case ctx.Err() != nil && !late(ctx):
		return verdict(CheckSpace, codeStopped, context.Cause(ctx))
	case err != nil && (fault.Is(err, fault.LocalDisk) || fault.Is(err, fault.RemoteFile)):
		return own(verdict(CheckSpace, "space-forbidden", err), err)
	case err != nil && late(ctx):
		return verdict(CheckSpace, codeLate, CheckSpace)
	case err != nil:
		return verdict(CheckSpace, "space-failed", err)
	case s.Free >= 0 && s.Needed > s.Free:
		return verdict(CheckSpace, "space-short", bytesText(s.Free), folder, bytesText(s.Needed))
	case s.Free == 0:
		return verdict(CheckSpace, "space-full", folder)
	case s.Inodes >= 0 && s.NeedFiles > s.Inodes:
		return verdict(CheckSpace, "space-inodes", s.Inodes, plural(int(min(s.Inodes, 2)), "file"), folder, s.NeedFiles)
	case s.Free < 0:
		return verdict(CheckSpace, "space-untold", folder)
	}
	return verdict(CheckSpace, "space-enough", bytesText(s.Free), folder)
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string { return transfer.BytesText(uint64(max(n, 0))) }

// Room asks for the room in a folder of this machine, for so many bytes and
// files; -1: it is not known how many.
func Room(folder string, bytes, files int64) (Space, error) {
	s, err := transfer.TryFolder(folder)
	return Space{Folder: s.At, Free: s.Free, Inodes: s.Files, Needed: bytes, NeedFiles: files, Written: err == nil, Where: Here}, err
}

// A clockCheck asks how far the server's clock is from ours.
type clockCheck struct {
	ask func(ctx context.Context) (Clock, error)
}

// clockLimit is how far it may be: a file that is written in that time is one
// whose name may have the other date.
const clockLimit = 5 * time.Second

func (c clockCheck) Name() string { return CheckClock }

func (c clockCheck) Run(ctx context.Context, _ *Found) Finding {
	k, err := c.ask(ctx)
	switch {
	case ctx.Err() != nil && !late(ctx):
		return verdict(CheckClock, codeStopped, context.Cause(ctx))
	case err != nil && late(ctx):
		return verdict(CheckClock, codeLate, CheckClock)
	case err != nil:
		return verdict(CheckClock, "clock-failed", err)
	}
	code := "clock-equal"
	if math.Abs(k.OffsetMS)-k.WithinMS > milliseconds(clockLimit) {
		code = "clock-off"
	}
	f := verdict(CheckClock, code, k)
	f.Clock = &k
	return f
}

// String says it in words, as in "3.2s ahead of ours".
func (k Clock) String() string {
	switch {
	case math.Abs(k.OffsetMS) <= k.WithinMS:
		return "ours, to within " + duration(k.WithinMS)
	case k.OffsetMS > 0:
		return duration(k.OffsetMS) + " ahead of ours"
	}
	return duration(-k.OffsetMS) + " behind ours"
}
