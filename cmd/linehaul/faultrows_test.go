//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"linehaul/internal/faulty"
)

// faultRows are the faults of lines and servers.
func faultRows() []faultRow {
	const (
		whole = "0, whole"
		kept  = "old, part and journal"
	)
	once := func(f func(x *trial)) func(x *trial) {
		return func(x *trial) { x.server.Set(faulty.Faults{Before: x.inMidFile(func() { f(x) })}) }
	}
	return []faultRow{
		// The line.
		{fault: "none", get: whole, put: whole, arm: func(*trial) {}},
		{fault: "line cut", get: whole, put: whole, arm: once(func(x *trial) { x.line.Cut() })},
		{fault: "line reset", get: whole, put: whole, arm: once(func(x *trial) { x.line.Reset() })},
		{fault: "line cut, and each one after it", get: "3, old, part", put: "3, old, part", look: exceptJournal, arm: once(cutForGood)},
		{fault: "line is a black hole for a while", get: whole, put: whole, arm: once(func(x *trial) {
			x.line.Blackhole()
			x.later(time.Second, x.line.Resume) // for the next connection: this one has lost bytes
		})},
		{fault: "line is a black hole", get: "8, old, part", put: "8, old, part", look: exceptJournal, connect: faultStall, arm: once(func(x *trial) { x.line.Blackhole() })},
		{fault: "line slows to 1 KB/s for twice the stall time", get: whole, put: whole, arm: once(func(x *trial) {
			x.line.Slow(1000)
			x.later(2*faultStall, func() { x.line.Slow(0) })
		})},

		// Answers that are right, and come in odd ways.
		{fault: "answers in another order", get: whole, put: whole, arm: func(x *trial) { x.server.Set(faulty.Faults{Reorder: 7}) }},
		{fault: "short reads of 20,000 bytes", get: whole, arm: func(x *trial) { x.server.Set(faulty.Faults{MaxRead: 20_000}) }},
		{fault: "no answer to one request", get: whole, put: whole, arm: func(x *trial) {
			x.server.Set(faulty.Faults{Before: x.at(midway, faulty.Verdict{Lose: true})})
		}},
		{fault: "one session ended in mid-file", get: whole, put: whole, arm: func(x *trial) {
			x.server.Set(faulty.Faults{Before: x.at(midway, faulty.Verdict{End: true})})
		}},
		{fault: "fifth channel refused", get: whole, put: whole, one: true, size: 40 << 20, sessions: 4, arm: func(*trial) {}},

		// Answers that are wrong.
		{fault: "one request for content fails", get: "7, old", put: "7, old", arm: func(x *trial) {
			x.server.Set(faulty.Faults{Before: x.at(midway, faulty.Verdict{Status: faulty.Failure, Text: "Failure"})})
		}},
		{fault: "a read answered with more than was asked for", get: whole, arm: func(x *trial) { x.server.Set(faulty.Faults{Tamper: x.tooMuch(true)}) }},
		{fault: "each read answered with more than was asked for", get: "3, " + kept, arm: func(x *trial) { x.server.Set(faulty.Faults{Tamper: x.tooMuch(false)}) }},
		{fault: "an answer to a request that nobody made", get: whole, put: whole, arm: func(x *trial) {
			x.server.Set(faulty.Faults{Tamper: x.tampered(func(p []byte) []byte { p[5] ^= 0x40; return p })})
		}},
		{fault: "an answer of 4 GiB", get: whole, put: whole, arm: func(x *trial) {
			x.server.Set(faulty.Faults{Tamper: x.tampered(func(p []byte) []byte { copy(p, "\xff\xff\xff\xff"); return p })})
		}},
		{fault: "an answer of an unknown type", get: whole, put: whole, arm: func(x *trial) {
			x.server.Set(faulty.Faults{Tamper: x.tampered(func(p []byte) []byte { p[4] = 250; return p })})
		}},
		{fault: "reads answered with nothing", get: "7, old", arm: func(x *trial) {
			x.server.Set(faulty.Faults{Tamper: x.tampered(func(p []byte) []byte { return faulty.Data(p, nil) })})
		}},

		// Sizes and content.
		{fault: "size said to be 1 MiB more", get: "7, old", put: "11, old", arm: lies(1 << 20)},
		{fault: "size said to be 1 MiB less", get: "7, old", put: "11, old", arm: lies(-1 << 20)},
		{fault: "file grows in mid-read", get: whole, put: whole, arm: once(func(x *trial) { x.edit(false, grow) })},
		{fault: "file grows all the time", get: "7, old", put: "10, old", arm: func(x *trial) {
			x.server.Set(faulty.Faults{Before: x.onContent(func(int64) faulty.Verdict { x.edit(false, grow); return faulty.Verdict{} })})
		}},
		{fault: "file cut short in mid-read", get: whole, put: whole, arm: once(func(x *trial) {
			x.edit(false, func(p string) error { return os.Truncate(p, int64(len(x.data)/2)) })
		})},
		{fault: "file replaced in mid-read", get: "0, whole, as it was before", put: "0, whole, as it was before", arm: once(func(x *trial) {
			x.edit(false, func(p string) error { return replace(p, bytes.Repeat([]byte("new"), len(x.data)/4)) })
		})},
		{fault: "the same, by another of the same size and time", get: "0, whole, as it was before", put: "0, whole, as it was before", one: true, arm: once(func(x *trial) {
			x.edit(true, func(p string) error { return replace(p, make([]byte, len(x.data))) })
		})},
		// No size and no time shows this. A hash does: the job tries again.
		{fault: "content changed in mid-read, size and time kept", get: "0, MIXED", arm: once(overwrite)},
		{fault: "the same, with a .sha256 file beside it", get: whole, verify: "auto", arm: func(x *trial) {
			x.sumFile()
			x.server.Set(faulty.Faults{Before: x.inMidFile(func() { overwrite(x); x.sumFile() })})
		}},

		// What fails on the server.
		{fault: "a request fails after the first 1,000", get: "9, all but one whole", put: "0, all whole", one: true, files: 400, look: lookAtSmall(400), arm: func(x *trial) {
			var done atomic.Bool
			x.server.Set(faulty.Faults{Before: func(r faulty.Request) faulty.Verdict {
				if r.N <= 1000 || r.Op != "read" && r.Op != "write" || done.Swap(true) {
					return faulty.Verdict{}
				}
				return faulty.Verdict{Status: faulty.Failure, Text: "Failure"}
			}})
		}},
		{fault: "one handle for all that is open", get: "3, some whole, the others absent", put: "3, some whole, the others absent, temporary files", one: true, files: 50, look: lookAtSmall(50), arm: func(x *trial) {
			x.server.Set(faulty.Faults{OneHandle: true})
		}},
		{fault: "handles that nobody can foresee", get: whole, put: whole, arm: func(x *trial) {
			x.server.Set(faulty.Faults{OwnHandles: true})
		}},
		{fault: "disk of the server full in mid-file", put: "7, old", arm: func(x *trial) {
			x.server.Set(faulty.Faults{Before: x.onContent(func(n int64) faulty.Verdict {
				if n < midway {
					return faulty.Verdict{}
				}
				return faulty.Verdict{Status: faulty.Failure, Text: "No space left on device"}
			})})
		}},
		{fault: "quota of the server, said at the close", put: "7, old", late: "7, whole", arm: func(x *trial) {
			x.server.Set(faulty.Faults{After: func(r faulty.Request) faulty.Verdict {
				if r.Op == "close" && len(r.Path) > 5 && r.Path[len(r.Path)-5:] == ".part" {
					return faulty.Verdict{Status: faulty.Failure, Text: "Disk quota exceeded"}
				}
				return faulty.Verdict{}
			}})
		}},
		{fault: "server cannot make the file durable", put: "7, old", trip: sealTrip, arm: func(x *trial) {
			x.server.Set(faulty.Faults{After: func(r faulty.Request) faulty.Verdict {
				if r.Op == "fsync@openssh.com" && filepath.Ext(r.Path) == ".part" {
					return faulty.Verdict{Status: faulty.Failure, Text: "Input/output error"}
				}
				return faulty.Verdict{}
			}})
		}},
		{fault: "server's folder is read-only", put: "7, old", arm: func(x *trial) {
			x.server.Set(faulty.Faults{Before: func(r faulty.Request) faulty.Verdict {
				if r.Create {
					return faulty.Verdict{Status: faulty.PermissionDenied, Text: "Permission denied"}
				}
				return faulty.Verdict{}
			}})
		}},
		{fault: "server's folder removed in mid-file", put: "7, absent", arm: once(func(x *trial) { os.RemoveAll(x.folder) })},
		{fault: "server is gone between rename and answer", put: whole, arm: func(x *trial) { x.atRename(func() { x.line.Reset() }) }},
		{fault: "server is gone between rename and answer, for good", put: "3, whole", look: exceptJournal, arm: func(x *trial) { x.atRename(func() { cutForGood(x) }) }},
		{fault: "server without posix-rename", put: whole, arm: func(x *trial) { x.server.Set(faulty.Faults{Plain: true}) }},
		{fault: "the same, and gone before the rename", put: "3, absent, old, part", one: true, look: exceptJournal, arm: func(x *trial) {
			x.server.Set(faulty.Faults{Plain: true, After: func(r faulty.Request) faulty.Verdict {
				if r.Op != "rename" || filepath.Base(r.Path) != "data.bin" {
					return faulty.Verdict{}
				}
				cutForGood(x)
				return faulty.Verdict{Lose: true}
			}})
		}},
		{fault: "the same, and no file may be renamed", put: "7, old", arm: func(x *trial) { x.refuseRename("") }},
		{fault: "the same, and a file may be moved aside alone", put: "7, old", arm: func(x *trial) { x.refuseRename(".part") }},
		{fault: "the same, and neither may it be moved back", put: "7, absent, old", one: true, look: exceptJournal, arm: func(x *trial) { x.refuseRename(".") }},

		// This machine.
		{fault: "disk too small", get: "10, old", one: true, arm: func(x *trial) { x.mount("size=3m"); x.heal = func() { x.remount("size=64m") } }},
		{fault: "disk full in mid-file", get: "10, old", arm: func(x *trial) {
			x.mount("size=24m")
			other := filepath.Join(x.folder, "other")
			x.server.Set(faulty.Faults{Before: x.inMidFile(func() { x.fill(other) })})
			x.heal = func() { os.Remove(other) }
		}},
		{fault: "disk quota", get: "10, old", arm: func(x *trial) { x.quota(); x.heal = x.noQuota }},
		{fault: "no file may be larger than 2 MiB (ulimit -f)", get: "10, old", one: true, arm: func(x *trial) {
			x.before = []string{"sh", "-c", `ulimit -f 4096 && exec "$@"`, "sh"}
			x.heal = func() { x.before = nil }
		}},
		{fault: "file system is read-only", get: "13, old", one: true, arm: func(x *trial) { x.mount("size=64m"); x.remount("ro"); x.heal = func() { x.remount("rw") } }},
		{fault: "file system turns read-only in mid-file", get: "10, old", look: afterPlug(exceptUnfinished), arm: func(x *trial) {
			x.disk()
			// As ext4 does by itself when its journal cannot be written.
			x.server.Set(faulty.Faults{Before: x.inMidFile(func() { x.remount("abort") })})
		}},
		{fault: "disk pulled out in mid-file", get: "10, old", look: afterPlug(exceptUnfinished), arm: func(x *trial) {
			x.disk()
			x.server.Set(faulty.Faults{Before: x.inMidFile(x.pullDisk)})
		}},
		// What the journal says must be on the disk.
		{fault: "the same, with a journal that says what had come", get: "10, old, part and journal", look: afterPlug((*trial).left), arm: func(x *trial) {
			x.disk()
			x.server.Set(faulty.Faults{Before: x.inMidFile(func() { x.awaitNote(); x.pullDisk() })})
		}},
		{fault: "disk pulled out right after the run", get: whole, look: afterPull((*trial).left), arm: (*trial).disk},
		{fault: "the same, with many small files", get: "0, all whole", one: true, files: 50, look: afterPull(lookAtSmall(50)), arm: (*trial).disk},
		{fault: "disk of the source pulled out in mid-read", put: "10, old", look: afterPlug((*trial).left), arm: func(x *trial) {
			x.sourceDisk()
			x.server.Set(faulty.Faults{Before: x.inMidFile(x.pullDisk)})
		}},
		{fault: "file system unmounted in mid-file", get: "0, whole", look: afterPlug((*trial).left), arm: func(x *trial) {
			x.disk()
			// What is open stays; nothing else is found there.
			x.server.Set(faulty.Faults{Before: x.inMidFile(func() { x.enter("umount", "-l", x.mounted) })})
		}},
		{fault: "target folder removed in mid-file", get: "10, absent", arm: once(func(x *trial) { os.RemoveAll(x.folder) })},
		{fault: "source removed in mid-read", get: "0, whole, as it was before", put: "0, whole, as it was before", one: true, arm: once(func(x *trial) {
			x.untouched = false
			os.Remove(x.source)
		})},
		{fault: "clock jumps a day ahead", get: whole, put: whole, one: true, arm: func(*trial) {}, run: clockJumps(26 * time.Hour)},
		{fault: "clock jumps a day back", get: whole, put: whole, one: true, arm: func(*trial) {}, run: clockJumps(-26 * time.Hour)},

		// Files of all kinds.
		{fault: "name of 255 bytes", get: whole, put: whole, name: strings.Repeat("n", 251) + ".bin", arm: func(*trial) {}},
		{fault: "no bytes", get: whole, put: whole, one: true, arm: func(x *trial) { x.resize(0) }},
		{fault: "sparse", get: whole, put: whole, arm: func(x *trial) { x.resize(0); x.resize(oneSize) }},
		{fault: "size said to be 0, as in /proc", get: whole, one: true, arm: func(x *trial) {
			x.server.Set(faulty.Faults{Describe: func(_ string, i *faulty.Info) { i.Size = 0 }})
		}},
		{fault: "file in /proc", put: "0, the text in /proc", one: true, look: lookAtProc, arm: func(x *trial) { x.point("data.bin", procFile) }},
		{fault: "4 GiB and a byte, all but 8 MiB moved before", get: "0, whole, 4294967297 bytes", put: "0, whole, 4294967297 bytes", size: -1, arm: beyond4GiB, look: lookBeyond4GiB},
		{fault: "three of 20,000 entries", get: "0, three whole", put: "0, three whole", one: true, more: ", recursive: true, include: '*7777.txt'", arm: crowd, look: lookAtCrowd},
	}
}

// overwrite changes the content of the source where it is.
func overwrite(x *trial) {
	x.edit(true, func(p string) error { return os.WriteFile(p, make([]byte, len(x.data)), 0o600) })
}

// sumFile puts the hash of the source beside it, as sha256sum writes it.
func (x *trial) sumFile() {
	sum, err := fileSum(x.source)
	if err == nil {
		err = os.WriteFile(x.source+".sha256", fmt.Appendf(nil, "%x  data.bin\n", sum), 0o600)
	}
	if err != nil {
		x.Error(err)
	}
}

// resize makes the source another size, with a hole where it grows.
func (x *trial) resize(size int64) {
	err := os.Truncate(x.source, size)
	if err == nil {
		x.data, err = os.ReadFile(x.source)
	}
	if err != nil {
		x.Fatal(err)
	}
}

// exceptJournal does not look at the journal, which is removed while the file
// gets its name: either may come first.
func exceptJournal(x *trial) string {
	text, _, _ := strings.Cut(x.left(), ",")
	for _, name := range temporaries(x, x.folder) {
		if ext := filepath.Ext(name); ext == ".part" || ext == ".old" {
			text += ", " + ext[1:]
		}
	}
	return text
}

// refuseRename is a server without posix-rename that refuses to rename what begins so
// or, of a suffix, ends so; the empty one is all.
func (x *trial) refuseRename(affix string) {
	x.server.Set(faulty.Faults{Plain: true, Before: func(r faulty.Request) faulty.Verdict {
		name := filepath.Base(r.Path)
		if r.Op == "rename" && (strings.HasPrefix(name, affix) || strings.HasSuffix(name, affix)) {
			return faulty.Verdict{Status: faulty.PermissionDenied, Text: "Permission denied"}
		}
		return faulty.Verdict{}
	}})
}

// cutForGood cuts every connection that is made, until the fault is over.
func cutForGood(x *trial) {
	var over atomic.Bool
	x.stop = func() { over.Store(true) }
	x.work.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for !over.Load() {
			x.line.Cut()
			<-tick.C
		}
	})
}

// later calls f after a while.
func (x *trial) later(d time.Duration, f func()) {
	x.work.Go(func() {
		<-time.After(d)
		f()
	})
}

// at gives one request for content its verdict.
func (x *trial) at(number int64, v faulty.Verdict) func(faulty.Request) faulty.Verdict {
	return x.onContent(func(n int64) faulty.Verdict {
		if n == number {
			return v
		}
		return faulty.Verdict{}
	})
}

// tampered changes one answer to a request for content, in mid-file.
func (x *trial) tampered(f func([]byte) []byte) func(faulty.Request, []byte) []byte {
	count := x.onContent(func(n int64) faulty.Verdict { return faulty.Verdict{Lose: n == midway} })
	return func(r faulty.Request, packet []byte) []byte {
		if count(r).Lose {
			return f(packet)
		}
		return packet
	}
}

// tooMuch answers one read, or each, with a byte more than was asked for.
func (x *trial) tooMuch(once bool) func(faulty.Request, []byte) []byte {
	count := x.onContent(func(n int64) faulty.Verdict { return faulty.Verdict{Lose: n == midway || !once && n > midway} })
	return func(r faulty.Request, packet []byte) []byte {
		if count(r).Lose {
			return faulty.Data(packet, make([]byte, r.Length+1))
		}
		return packet
	}
}

// lies says another size of every file that is large.
func lies(by int64) func(x *trial) {
	return func(x *trial) {
		x.server.Set(faulty.Faults{Describe: func(_ string, i *faulty.Info) {
			if i.Size > 2<<20 {
				i.Size += by
			}
		}})
	}
}

// atRename calls f when the target has its name and the client does not know
// it, once.
func (x *trial) atRename(f func()) {
	var done atomic.Bool
	x.server.Set(faulty.Faults{After: func(r faulty.Request) faulty.Verdict {
		if r.Op != "posix-rename@openssh.com" || done.Swap(true) {
			return faulty.Verdict{}
		}
		f()
		return faulty.Verdict{Lose: true}
	}})
}

func grow(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("a line more\n")
	return err
}

// replace puts another file in the place of one.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
