package transfer

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"linehaul/fault"
)

// A Room is what a server says of the file system that a path lies on.
type Room struct {
	Volume uint64 // which one it is, as far as the server tells
	Free   uint64 // bytes
	// Known is false where the server's numbers cannot be meant.
	Known bool
}

// A Roomer tells how much room there is.
type Roomer interface {
	// Room describes the file system of a path that exists. The error is
	// errors.ErrUnsupported where the server cannot tell.
	Room(ctx context.Context, path string) (Room, error)
}

// maxRooms is for how many folders of a put it is asked how much room there is.
const maxRooms = 32

// checkRoom fails if the server says that files cannot fit, before anything is
// moved. What it says is believed only where nothing speaks against it, as
// refusing what would have worked is worse than failing in the middle:
//
//   - no answer, or one whose numbers contradict each other, is none (see Known);
//   - files on volumes that were not asked about are presumed to fit, and so is
//     what nobody knows yet of a stream;
//   - what earlier runs left of the same files, to be gone on with, takes up room
//     already, and is not counted twice.
//
// Quotas and file systems that compress are not seen: for the latter there is
// SkipSpaceCheck.
func (p *putter) checkRoom(ctx context.Context, n needed) error {
	asks, ok := p.remote.(Roomer)
	if !ok {
		return nil
	}
	type volume struct {
		at         string
		free, need uint64
		folders    []string
	}
	needs, names := n.bytes, n.names
	dirs := make([]string, 0, len(needs))
	for dir := range needs {
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(-cmp.Compare(needs[a], needs[b]), cmp.Compare(a, b)) })
	volumes := map[Room]*volume{} // by Room with Free left out, which may change meanwhile
	dirs = dirs[:min(len(dirs), maxRooms)]
	type answer struct {
		at   string
		room Room
		err  error
	}
	answers := make([]answer, len(dirs))
	var asked sync.WaitGroup
	for i, dir := range dirs {
		asked.Go(func() {
			a := &answers[i]
			a.at, a.room, a.err = roomAbove(ctx, asks, dir)
		})
	}
	asked.Wait()
	for i, dir := range dirs {
		at, room, err := answers[i].at, answers[i].room, answers[i].err
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && (stopsAll(err) || ctx.Err() != nil) {
			return sorted(ctx, fault.RemoteFile, dir, err)
		}
		if err != nil || !room.Known {
			p.log.Debug("the server does not say how much room there is", keyTarget, dir, keyError, err)
			continue
		}
		id := Room{Volume: room.Volume, Known: true}
		v := volumes[id]
		if v == nil {
			v = &volume{at: at, free: room.Free}
			volumes[id] = v
		}
		v.need += min(needs[dir], ^uint64(0)-v.need)
		v.folders = append(v.folders, dir)
	}
	for _, v := range volumes {
		if v.need <= v.free {
			continue
		}
		for _, dir := range v.folders {
			var f remoteFolder
			p.look(ctx, &f, dir)
			v.need -= min(v.need, partsOf(f.parts, names[dir]))
		}
		if v.need > v.free {
			return fault.New(fault.RemoteFile, "not enough room in %q on the server: %s needed, %s free", dot(v.at), BytesText(v.need), BytesText(v.free)).
				WithHint("make room on the server, or choose a target on another disk; nothing was sent. Where its disk compresses, `space_check: false` or --no-space-check leaves this out")
		}
	}
	return nil
}

// needed is what files need of the folders of a server.
type needed struct {
	bytes map[string]uint64
	names map[string][]string // of the files
}

func neededBy(items []Item) needed {
	n := needed{map[string]uint64{}, map[string][]string{}}
	for _, i := range items {
		if size := uint64(addSize(0, i.Entry)); size > 0 {
			dir, name := splitRemote(i.Target)
			n.bytes[dir] += min(size, ^uint64(0)-n.bytes[dir])
			n.names[dir] = append(n.names[dir], name)
		}
	}
	return n
}

// roomAbove asks at a folder, or at the nearest one above it that exists. It
// asks at all of them at once: on a long line that is quicker.
func roomAbove(ctx context.Context, asks Roomer, dir string) (string, Room, error) {
	type answer struct {
		room Room
		err  error
	}
	dirs := []string{dir}
	for dir != "" && dir != "/" {
		dir, _ = splitRemote(dir)
		dirs = append(dirs, dir)
	}
	answers := make([]answer, len(dirs))
	var asked sync.WaitGroup
	for i, dir := range dirs {
		asked.Go(func() { answers[i].room, answers[i].err = asks.Room(ctx, dot(dir)) })
	}
	asked.Wait()
	i := 0
	for i < len(dirs)-1 && errors.Is(answers[i].err, fs.ErrNotExist) {
		i++
	}
	return dirs[i], answers[i].room, answers[i].err
}

// partsOf sums up the temporary files that stand for some of the names.
func partsOf(entries []Entry, names []string) uint64 {
	stems := make(map[string]bool, len(names))
	for _, n := range names {
		stems[partStem(n)] = true
	}
	var sum uint64
	for _, e := range entries {
		if stem, _, ok := parsePart(e.Name); ok && stems[stem] {
			sum += uint64(addSize(0, e))
		}
	}
	return sum
}
