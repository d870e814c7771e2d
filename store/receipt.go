package store

import (
	"context"
	"path/filepath"
	"strings"

	"linehaul/fault"
	"linehaul/receipt"
	"linehaul/store/db"
)

// ended reports whether a run in that state is over: then it has a receipt, also
// one that was left out.
func (s State) ended() bool { return s != Waiting && s != Running }

// A draft is what a run's receipt will hold but for its place in the chain. It is
// made before the transaction that ends the run, as its list may be long.
type draft struct {
	head  receipt.Head
	list  string // the id of its list: two processes may think that the run is theirs
	parts int    // of the list that are in the database already
	rest  string // its last lines

	gathered bool // as Run has it
}

// draft makes the draft of a run's receipt; nil if the run has not ended. With own,
// paths that are relative begin in the working folder of this process.
func (s *Store) draft(ctx context.Context, r Run, own bool) (*draft, error) {
	if !r.State.ended() {
		return nil, nil
	}
	id, err := NewRunID(s.place.Now(), s.place.Random)
	if err != nil {
		return nil, fault.New(fault.Internal, "%w", err)
	}
	d := &draft{head: receiptHead(r), list: id, gathered: r.gathered}
	var list receipt.List
	var part strings.Builder
	lines := 0
	if r.Way == "" {
		d.head.Files = list.Files() // noted by an earlier linehaul: nobody knows which paths are local
		return d, nil
	}
	err = r.EachFile(func(f File) error {
		line, err := list.Add(receiptFile(f, r.Way, own))
		if err != nil {
			return err
		}
		if lines == partLines || part.Len() >= partBytes { // more follows: that was not the last part
			if err := putReceiptPart(ctx, s.db, r.ID, d.list, d.parts, part.String()); err != nil {
				return err
			}
			part.Reset()
			d.parts, lines = d.parts+1, 0
		}
		part.WriteString(line)
		part.WriteByte('\n')
		lines++
		return nil
	})
	d.head.Files, d.rest = list.Files(), part.String()
	return d, err
}

func putReceiptPart(ctx context.Context, c db.Conn, run, list string, part int, lines string) error {
	_, err := c.Exec(ctx, `INSERT INTO lh_receipt_list (run, list, part, lines) VALUES ($1, $2, $3, $4)
		ON CONFLICT (run, list, part) DO UPDATE SET lines = excluded.lines`, run, list, part, lines)
	return err
}

// receiptHead is what a receipt says of a run.
func receiptHead(r Run) receipt.Head {
	h := receipt.Head{
		Run: r.ID, Job: r.Job, Trigger: r.Trigger, Nominal: r.Nominal, Started: r.Started, Ended: r.Ended, Node: r.Node, Program: r.Version,
		Way: r.Way, Host: r.Host, Address: r.Address, State: string(r.State), Code: r.Code, Layer: r.Layer, Error: r.Error,
		Attempts: len(r.Attempts), Matched: r.Matched, Moved: r.Moved, Failed: r.Failed, Skipped: r.Skipped, Removed: r.Removed, Bytes: r.Bytes,
	}
	if k := r.HostKey; k != nil {
		h.HostKey = &receipt.HostKey{Type: k.Type, Fingerprint: k.Fingerprint}
	}
	if l := r.Link; l != nil {
		h.Link = &receipt.Link{Name: l.Name, SPIs: l.SPIs}
	}
	if c := r.Checks; c != nil {
		h.Checks = &receipt.Checks{Verdict: c.Verdict, Layer: c.Layer, Summary: c.Summary}
	}
	return h
}

// receiptFile is what a receipt says of a file.
func receiptFile(f File, way string, own bool) receipt.File {
	line := receipt.File{
		Source: f.Source, Target: f.Target, Kind: f.Kind, Bytes: f.Bytes, MTime: f.MTime, SHA256: f.SHA256, Verified: f.Verified,
		Error: f.Error, Gone: f.Gone, After: f.After, AfterTo: f.AfterTarget,
		Take: f.Take, Node: f.Node,
	}
	if !own {
		return line
	}
	local := []*string{&line.Target}
	if way == receipt.Put {
		local = []*string{&line.Source, &line.AfterTo}
	}
	for _, p := range local {
		if abs, err := filepath.Abs(*p); *p != "" && err == nil { // else it stays as it is, and verify says so
			*p = abs
		}
	}
	return line
}

// seal puts the receipt at the end of the chain, within the transaction that ends
// its run; t's statements up to here do not wait for other runs that end. The run
// that is done again, since nobody knew whether it was done, has its receipt.
func (s *Store) seal(ctx context.Context, t *db.Tx, d *draft) (*receipt.Place, error) {
	if d == nil {
		return nil, nil
	}
	run := d.head.Run
	var seq int64
	var hash string
	found, err := db.One(ctx, t, "SELECT seq, hash FROM lh_receipt_run WHERE run = $1", []any{run}, &seq, &hash)
	if err != nil {
		return nil, err
	}
	if found {
		_, err := t.Exec(ctx, "DELETE FROM lh_receipt_list WHERE run = $1 AND list = $2 AND list NOT IN (SELECT list FROM lh_receipt WHERE seq = $3)", run, d.list, seq)
		return receiptPlace(seq, hash), err
	}
	if err := s.forgetMoved(ctx, t, d); err != nil {
		return nil, err
	}
	// What a process left that died when it ended the run.
	if _, err := t.Exec(ctx, "DELETE FROM lh_receipt_list WHERE run = $1 AND list <> $2", run, d.list); err != nil {
		return nil, err
	}
	if d.rest != "" {
		if err := putReceiptPart(ctx, t, run, d.list, d.parts, d.rest); err != nil {
			return nil, err
		}
	}
	end, err := s.lockChain(ctx, t)
	if err != nil {
		return nil, err
	}
	sealed, err := receipt.Seal(d.head, end)
	if err != nil {
		return nil, err
	}
	place := sealed.Place
	if _, err := t.Exec(ctx, "INSERT INTO lh_receipt (seq, run, list, hash, head) VALUES ($1, $2, $3, $4, $5)",
		place.Seq, run, d.list, place.Hash.String(), sealed.Text); err != nil {
		return nil, err
	}
	if _, err := t.Exec(ctx, "INSERT INTO lh_receipt_run (run, seq, hash) VALUES ($1, $2, $3)", run, place.Seq, place.Hash.String()); err != nil {
		return nil, err
	}
	return &place, putChain(ctx, t, chainEnd, place)
}

// receiptPlace is what a run's record says of its receipt; nil: nothing.
func receiptPlace(seq int64, hash string) *receipt.Place {
	h, err := receipt.ParseHash(hash)
	if seq <= 0 || err != nil {
		return nil
	}
	return &receipt.Place{Seq: seq, Hash: h}
}
