package transfer

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"linehaul/fault"
)

// Plan says what of the sources is moved, and where to: it finds, selects and
// names the files of one run. Name and At must be set.
//
// The items come while the search goes on, as those of Find do, each with its
// target; errors come as those of Find and Placing.Place. Nothing is held in
// memory that grows with the number of files, other than what Find and
// Placing say. The order of the steps: patterns, size and age; Newest;
// the target and its name; OnlyNew, by the target or the ledger; the second look of Settle.
//
// A file is settled if its time lies at least Settle before the clock that
// stamps it, and if size and time are the same on a second look. That look
// comes two seconds after the first where that clock is known (this machine's
// own files, and servers that tell their time), and Settle after it where it
// is not, since a slow clock makes a file look older than it is. Files that
// are older than Settle by more than a day are not looked at again: no clock
// is trusted to be more wrong than that.
type Plan struct {
	Recursive bool
	Select    Select
	// Name, Tree and Target are as in Placing; the default of a get's Target is
	// SystemAt the folder, and a server that is Unix is asked whether it Folds.
	Name   func(Item) (string, error)
	Tree   bool
	Target System
	// At is the run's instant: what ages are counted from.
	At time.Time
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Temp and Ahead are as in Find.
	Temp  string
	Ahead int
	// Compare makes the plan that of a mirror: of what the target has already,
	// only what differs comes, each with its Standing, and each folder as
	// Find.Folders has it. Select.OnlyNew has no meaning then.
	Compare *Comparison
	// Ledger is what Select.Ledger goes by, and must be set for that.
	Ledger Ledger
	Log    *slog.Logger // may be nil
	// Skipped is told of each file that is left alone. It may be nil.
	Skipped func(Skip)
}

// Get plans to fetch from a server into a folder of this machine.
func (p Plan) Get(ctx context.Context, r Remote, root string, sources ...string) iter.Seq2[Item, error] {
	if p.Target == "" {
		p.Target = SystemAt(root)
	}
	return p.in(ctx, remoteTree(r), func() targets { return localTargets{root} }, Placing{}, sources)
}

// Put plans to send files of this machine to a server.
func (p Plan) Put(ctx context.Context, r Remote, sources ...string) iter.Seq2[Item, error] {
	if _, ok := r.(LinkMaker); !ok && p.Select.Symlinks == CopyLinks {
		return failing(fault.New(fault.Config, "symbolic links cannot be made by this protocol, and `symlinks: copy` needs that").
			WithHint("use SFTP, or another way with links"))
	}
	place := Placing{Put: true, Folds: func(dir string) bool { return Folds(ctx, r, dir) }}
	return p.in(ctx, localTree(), func() targets { return newRemoteTargets(r, p.Temp, p.Compare == nil) }, place, sources)
}

func (p Plan) in(ctx context.Context, from tree, open func() targets, place Placing, sources []string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		left := leaver{log: orDiscard(p.Log), told: p.Skipped}
		skew, known := time.Duration(0), from.local
		if p.Select.Settle > 0 && from.clock != nil {
			skew, known = p.skew(ctx, from.clock)
		}
		find := Find{
			Recursive: p.Recursive, Folders: p.Compare != nil, Select: p.Select, At: p.At, Clock: orNow(p.Now)().Add(skew),
			Temp: p.Temp, Ahead: p.Ahead, Log: p.Log, Skipped: p.Skipped,
		}
		place.Name, place.Tree, place.Target, place.Names = p.Name, p.Tree, p.Target, p.Select.Names
		items := place.Place(find.in(ctx, from, sources))
		there := open()
		defer func() {
			if err := there.close(); err != nil {
				left.log.Warn("cannot remove a temporary folder", keyError, err)
			}
		}()
		switch {
		case p.Compare != nil:
			items = p.Compare.items(ctx, items, there, left)
		case p.Select.OnlyNew && p.Select.Ledger && p.Ledger == nil:
			items = failing(fault.New(fault.Usage, "there is no ledger that says what was moved before").
				WithHint("`only_new: ledger` is for jobs, whose runs are recorded"))
		case p.Select.OnlyNew && p.Select.Ledger:
			items = byLedger(ctx, items, p.Ledger, there.look, left)
		case p.Select.OnlyNew:
			items = onlyNew(ctx, items, there.look, left)
		}
		if p.Select.Settle > 0 {
			s := settling{
				stat: from.stat, settle: p.Select.Settle, clock: find.Clock, known: known,
				now: orNow(p.Now), kind: from.kind, left: left,
			}
			items = s.filter(ctx, items)
		}
		items(yield)
	}
}

// skew asks a server for its clock, and returns how far it is ahead of this
// machine's. It tells whole seconds, and is taken to be a second slower than
// it says.
func (p Plan) skew(ctx context.Context, clock func(context.Context) (time.Time, error)) (time.Duration, bool) {
	now := orNow(p.Now)
	before := now()
	there, err := clock(ctx)
	if err != nil {
		orDiscard(p.Log).Debug("the server does not tell its time", keyError, err, "kind", fault.KindOf(err).String())
		return 0, false
	}
	here := before.Add(now().Sub(before) / 2)
	return there.Sub(here) - time.Second, true
}

// failing is a plan that cannot be made.
func failing(err error) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) { yield(Item{}, err) }
}
