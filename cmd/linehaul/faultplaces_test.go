//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/faulty"
	"linehaul/internal/lab"
)

// mount puts a file system in memory at the target folder.
func (x *trial) mount(options string) {
	x.Helper()
	x.placeTarget(`mount -t tmpfs -o "$3" none "$1"`, options)
}

// quota puts a file system of its own there, with room enough and a quota of 3 MiB,
// which holds for the superuser too.
func (x *trial) quota() {
	x.Helper()
	lab.Need(x, "btrfs")
	x.needsDisk("btrfs")
	x.placeTarget(`truncate -s 256M "$3" && mkfs.btrfs -q "$3" && mount -o loop "$3" "$1" && btrfs quota enable "$1" &&
		btrfs subvolume create "$1/own" && btrfs qgroup limit 3M "$1/own" && mount --bind "$1/own" "$1"`, x.image())
}

// noQuota lifts it.
func (x *trial) noQuota() {
	x.Helper()
	x.enter("btrfs", "qgroup", "limit", "none", x.mounted)
}

// needsDisk skips where a file cannot be a disk with that file system.
func (x *trial) needsDisk(system string) {
	x.Helper()
	lab.Need(x, "mkfs."+system)
	known, err := os.ReadFile("/proc/filesystems")
	if _, loop := os.Stat("/dev/loop-control"); loop != nil || err != nil || !strings.Contains(string(known), system) {
		x.Skipf("this kernel has no loop devices, or no %s", system)
	}
}

// disk puts a disk there that can be made to fail.
func (x *trial) disk() {
	x.Helper()
	x.needsDisk("ext4")
	x.placeTarget(makeDisk, x.image())
	x.enter("sync", "-f", x.mounted)
}

// makeDisk is a script for place.
const makeDisk = `truncate -s 64M "$3" && mkfs.ext4 -q "$3" && mount -o loop "$3" "$1"`

// sourceDisk puts the source on such a disk.
func (x *trial) sourceDisk() {
	x.Helper()
	x.needsDisk("ext4")
	dir := x.place(filepath.Dir(x.source), makeDisk, x.image())
	x.source = filepath.Join(dir, filepath.Base(x.source))
	if err := os.WriteFile(x.source, x.data, 0o600); err != nil {
		x.Fatal(err)
	}
	x.enter("sync", "-f", x.mounted)
}

func (x *trial) image() string { return filepath.Join(x.own, "disk") }

// ext4Shutdown is EXT4_IOC_SHUTDOWN, and withoutLog its argument
// EXT4_GOING_FLAGS_NOLOGFLUSH, as the kernel's ext4.h has them: what is not on the
// disk yet will never be, and each call fails from then on with EIO.
const (
	ext4Shutdown = 0x8004587d
	withoutLog   = 2
)

// pullDisk makes the disk one that was pulled out.
func (x *trial) pullDisk() {
	f, err := os.Open(fmt.Sprintf("/proc/%d/root%s", x.within.Pid(), x.mounted))
	if err == nil {
		err = errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, withoutLog), f.Close())
	}
	if err != nil {
		x.Error(err)
	}
}

// plugDisk mounts the disk again, as what is on it has it.
func (x *trial) plugDisk() {
	x.Helper()
	x.enter("sh", "-c", `{ ! mountpoint -q "$1" || umount "$1"; } && mount -o loop "$2" "$1"`, "sh", x.mounted, x.image())
}

// afterPull is what the disk has of a run that is over, whatever the system still
// had in memory.
func afterPull(look func(*trial) string) func(*trial) string {
	return func(x *trial) string {
		x.pullDisk()
		x.plugDisk()
		return look(x)
	}
}

// awaitNote waits until a journal on this side says that something has come.
func (x *trial) awaitNote() {
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		journals, err := filepath.Glob(filepath.Join(x.folder, ".*.todo"))
		for _, name := range journals {
			if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, []byte(`"From":`)) {
				return
			}
		}
		if err != nil || time.Now().After(deadline) {
			x.Errorf("no journal says anything: %q, %v", journals, err)
			return
		}
	}
}

// afterPlug is what was left on a disk that has failed.
func afterPlug(look func(*trial) string) func(*trial) string {
	return func(x *trial) string {
		x.plugDisk()
		return look(x)
	}
}

// exceptUnfinished leaves out what a dead disk kept of the transfer itself: that goes
// by when its journal was written, and nothing could be removed there.
func exceptUnfinished(x *trial) string {
	return strings.TrimSuffix(x.left(), ", part and journal")
}

// placeTarget has a script mount something at the target folder, with the old file
// in it.
func (x *trial) placeTarget(script string, args ...string) {
	x.Helper()
	x.folder = x.place(x.folder, script+` && printf %s "$2" > "$1/data.bin"`, args...)
	x.target = filepath.Join(x.folder, filepath.Base(x.target))
}

// place has a script mount something at a folder, $1, in a place of its own: the
// program runs there, and the test looks into it by the path that is returned. $2 is
// the old text, args are from $3 on.
func (x *trial) place(dir, script string, args ...string) string {
	x.Helper()
	lab.NeedRoot(x)
	lab.Need(x, "unshare", "nsenter", "mount")
	script = "{ " + script + `; } && echo ready && exec sleep 600`
	log := filepath.Join(x.own, "mount.log")
	all := append([]string{"-m", "--propagation", "private", "sh", "-c", script, "sh", dir, oldText}, args...)
	x.within = lab.Start(x, log, nil, "unshare", all...)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(x.within.Log(), "ready"); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.Fatalf("no mount: %s", x.within.Log())
		}
	}
	x.before = []string{"nsenter", "-t", fmt.Sprint(x.within.Pid()), "-m"}
	x.mounted = dir
	return fmt.Sprintf("/proc/%d/root%s", x.within.Pid(), dir)
}

// remount changes the options of what is mounted there.
func (x *trial) remount(options string) {
	x.Helper()
	x.enter("mount", "-o", "remount,"+options, x.mounted)
}

// enter runs a program there.
func (x *trial) enter(name string, args ...string) {
	x.Helper()
	all := append([]string{"-t", fmt.Sprint(x.within.Pid()), "-m", name}, args...)
	if out, err := exec.Command("nsenter", all...).CombinedOutput(); err != nil {
		x.Errorf("%s: %v: %s", name, err, out)
	}
}

// fill writes a file until there is no room left.
func (x *trial) fill(path string) {
	f, err := os.Create(path)
	if err != nil {
		x.Error(err)
		return
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
}

// clockJumps runs the job in this process, where the clock is ours: it jumps
// when half of the file is moved.
func clockJumps(by time.Duration) func(x *trial) outcome {
	return func(x *trial) outcome {
		var jumped atomic.Bool
		x.server.Set(faulty.Faults{Before: x.inMidFile(func() { jumped.Store(true) })})
		now := func() time.Time {
			t := time.Now().Round(0) // the wall's time alone
			if jumped.Load() {
				t = t.Add(by)
			}
			return t
		}
		var stdout, stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, env: os.Getenv, now: now}
		code := a.main(context.Background(), []string{"-c", x.config, "run", "move"})
		if !jumped.Load() {
			x.Error("the clock has not jumped")
		}
		return outcome{stdout: stdout.String(), stderr: stderr.String(), code: code}
	}
}

// point makes a link to a file elsewhere the source.
func (x *trial) point(name, to string) {
	x.untouched = false
	x.source = filepath.Join(filepath.Dir(x.source), name)
	if err := errors.Join(os.Remove(x.source), os.Symlink(to, x.source)); err != nil {
		x.Fatal(err)
	}
}

// procFile is one whose content holds still.
const procFile = "/proc/filesystems"

func lookAtProc(x *trial) string {
	want, err := os.ReadFile(procFile)
	got, readErr := os.ReadFile(x.target)
	if err := errors.Join(err, readErr); err != nil {
		return err.Error()
	}
	if len(want) == 0 || !bytes.Equal(got, want) {
		return fmt.Sprintf("TORN: %d bytes of %d", len(got), len(want))
	}
	return "the text in /proc"
}

// The file that does not fit into 32 bits, and what of it a dead run has moved.
const (
	hugeSize = 1<<32 + 1
	hugeDone = hugeSize - 8<<20
)

// beyond4GiB makes the source a file with a hole of 4 GiB, and what a run left
// that died near its end.
func beyond4GiB(x *trial) {
	x.untouched = false
	tail := bytes.Repeat([]byte("end of a large file\n"), 3<<20/20)
	id := time.Now().Add(-72*time.Hour).UTC().Format("20060102T150405Z") + "-123x7k2q"
	part := filepath.Join(x.folder, ".data.bin."+id+".part")
	old := time.Now().Add(-72 * time.Hour)
	for _, path := range []string{x.source, part} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			x.Fatal(err)
		}
		size := int64(hugeDone)
		if path == x.source {
			size = hugeSize - int64(len(tail))
		}
		if err := os.Truncate(path, size); err != nil {
			x.Fatal(err)
		}
	}
	f, err := os.OpenFile(x.source, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.Write(tail)
		err = errors.Join(err, f.Close(), os.Chtimes(x.source, old, old.Truncate(time.Second)))
	}
	if err != nil {
		x.Fatal(err)
	}
	source := "far:/data.bin"
	if x.way == "put" {
		source = x.source
	}
	line, err := json.Marshal(map[string]any{
		"source": source, "size": int64(hugeSize), "mtime": old.Truncate(time.Second).UnixNano(), "mode": 0o600,
		"done": []map[string]int64{{"From": 0, "To": hugeDone}},
	})
	if err == nil {
		journal := strings.TrimSuffix(part, ".part") + ".todo"
		err = errors.Join(os.WriteFile(journal, fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(line), line), 0o600),
			os.Chtimes(journal, old, old), os.Chtimes(part, old, old))
	}
	if err != nil {
		x.Fatal(err)
	}
}

// lookBeyond4GiB compares the part behind the hole, and that the line carried
// no more than that.
func lookBeyond4GiB(x *trial) string {
	info, err := os.Stat(x.target)
	if err != nil {
		return err.Error()
	}
	source, err := os.Open(x.source)
	if err != nil {
		return err.Error()
	}
	defer source.Close()
	target, err := os.Open(x.target)
	if err != nil {
		return err.Error()
	}
	defer target.Close()
	const from = 1<<32 - 16<<20
	a, b := make([]byte, hugeSize-from), make([]byte, hugeSize-from)
	_, errA := source.ReadAt(a, from)
	_, errB := target.ReadAt(b, from)
	if err := errors.Join(errA, errB); err != nil {
		return err.Error()
	}
	up, down := x.line.Delivered()
	switch {
	case !bytes.Equal(a, b):
		return "TORN: its end is another one"
	case up+down > 16<<20:
		return fmt.Sprintf("moved again: the line carried %d bytes", up+down)
	case len(temporaries(x, x.folder)) > 0:
		return "temporary files"
	}
	return fmt.Sprintf("whole, %d bytes", info.Size())
}

// The crowd is a folder of very many files, of which the job takes three.
const crowdSize = 20_000

func crowd(x *trial) {
	x.untouched = false
	if err := errors.Join(os.Remove(x.source), os.Remove(x.target)); err != nil {
		x.Fatal(err)
	}
	for _, dir := range []string{x.source, x.folder} {
		for i := range crowdSize {
			name := filepath.Join(dir, fmt.Sprintf("%d.txt", i))
			if dir == x.folder {
				name = filepath.Join(dir, fmt.Sprintf("other %d", i))
			}
			if i == 0 {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					x.Fatal(err)
				}
			}
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				x.Fatal(err)
			}
		}
		if dir == x.source {
			for _, i := range []int{7777, 17777} {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.txt", i)), small(i), 0o600); err != nil {
					x.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "x7777.txt"), small(7777), 0o600); err != nil {
				x.Fatal(err)
			}
		}
	}
}

func lookAtCrowd(x *trial) string {
	var found []string
	err := filepath.WalkDir(x.folder, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, "7777.txt") {
			found = append(found, p)
		}
		return err
	})
	if err != nil {
		return err.Error()
	}
	for _, p := range found {
		i := 7777
		if filepath.Base(p) == "17777.txt" {
			i = 17777
		}
		if got, err := os.ReadFile(p); err != nil || !bytes.Equal(got, small(i)) {
			return fmt.Sprintf("TORN: %s has %d bytes, %v", p, len(got), err)
		}
	}
	if len(found) != 3 {
		return fmt.Sprintf("%d files", len(found))
	}
	return "three whole"
}
