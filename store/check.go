package store

import (
	"context"
	"fmt"
	"time"

	"linehaul/fault"
	"linehaul/receipt"
	"linehaul/store/db"
)

// Health is what Check has found.
type Health struct {
	Database db.Kind        `json:"database"`
	File     string         `json:"file,omitempty"` // of SQLite
	Schema   int            `json:"schema"`
	Knows    int            `json:"knows"` // the schema of this linehaul
	Room     db.Room        `json:"room"`
	Runs     int            `json:"runs"`
	States   map[string]int `json:"states"`
	Oldest   string         `json:"oldest,omitempty"` // ids of runs
	Newest   string         `json:"newest,omitempty"`
	Receipts int64          `json:"receipts"`
	Ledger   int            `json:"ledger"` // files that jobs remember
	// Problems are what is wrong, in words; empty: nothing is.
	Problems []string `json:"problems"`
}

const (
	// checkTime bounds one question of a check: that which reads all of a large
	// file takes long.
	checkTime = time.Hour
	// maxProblems is how many of one kind are named.
	maxProblems = 20
	// ledgerStep and receiptStep are the steps of the schema that brought these
	// tables.
	ledgerStep, receiptStep = 2, 3
)

// Check reads all of the record, and says what is wrong with it. It changes nothing,
// and others may go on meanwhile. It works with what is opened as it is, of whatever
// schema up to the one that this linehaul knows.
func (s *Store) Check(ctx context.Context) (Health, error) {
	h := Health{Database: s.db.Kind(), File: s.db.Path(), Knows: db.Version(), States: map[string]int{}, Problems: []string{}}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fault.New(fault.Timeout, "the check took longer than %s", checkTime))
	defer cancel()
	var err error
	if h.Schema, err = s.db.Schema(ctx); err != nil {
		return h, fmt.Errorf("check the record: %w", err)
	}
	switch {
	case h.Schema == 0:
		return h, fault.New(fault.LocalDisk, "check the record: the database has no tables of linehaul").
			WithHint("the first `linehaul run`, `serve` or `store migrate` makes them")
	case h.Schema > h.Knows:
		return h, fault.New(fault.Config, "check the record: it is of a newer linehaul: its schema is %d, and this one knows %d", h.Schema, h.Knows).
			WithHint("use the newer linehaul here too; `linehaul version` says which one this is")
	}
	steps := []func(context.Context, *Health) error{s.checkPages, s.checkCounts, s.checkBelongings, s.checkRecords, s.checkLedger, s.checkReceipts}
	for _, step := range steps {
		if err := step(ctx, &h); err != nil {
			if len(h.Problems) > 0 {
				// What is damaged cannot be read to its end.
				h.Problems = append(h.Problems, err.Error())
				return h, nil
			}
			return h, fmt.Errorf("check the record: %w", err)
		}
	}
	return h, nil
}

func (s *Store) checkPages(ctx context.Context, h *Health) (err error) {
	if h.Room, err = s.db.Room(ctx); err != nil {
		return err
	}
	h.Problems, err = s.db.Check(ctx)
	if h.Problems == nil {
		h.Problems = []string{}
	}
	return err
}

func (s *Store) checkCounts(ctx context.Context, h *Health) error {
	err := s.db.Each(ctx, "SELECT state, count(*) FROM lh_run GROUP BY state", nil, func(scan func(...any) error) error {
		var state string
		var n int
		err := scan(&state, &n)
		h.States[state] = n
		h.Runs += n
		return err
	})
	if err == nil && h.Runs > 0 {
		_, err = db.One(ctx, s.db, "SELECT min(id), max(id) FROM lh_run", nil, &h.Oldest, &h.Newest)
	}
	return err
}

// checkBelongings looks for what belongs to runs that are not there.
func (s *Store) checkBelongings(ctx context.Context, h *Health) error {
	for _, table := range belongings() {
		if table == "lh_run_moved" && h.Schema < 4 {
			continue // it came with that step
		}
		var n int
		var one string
		query := fmt.Sprintf("SELECT count(*), coalesce(min(b.run), '') FROM %s b WHERE NOT EXISTS (SELECT 1 FROM lh_run r WHERE r.id = b.run)", table)
		if _, err := db.One(ctx, s.db, query, nil, &n, &one); err != nil {
			return err
		}
		if n > 0 {
			h.Problems = append(h.Problems, fmt.Sprintf("%s has %d rows of runs that are not there, such as %s", table, n, one))
		}
	}
	if h.Schema < 4 {
		return nil
	}
	var n int
	var one string
	query := "SELECT count(*), coalesce(min(b.run), '') FROM lh_run_moved b JOIN lh_run r ON r.id = b.run WHERE r.state NOT IN ($1, $2)"
	if _, err := db.One(ctx, s.db, query, []any{string(Waiting), string(Running)}, &n, &one); err != nil {
		return err
	}
	if n > 0 {
		h.Problems = append(h.Problems, fmt.Sprintf("lh_run_moved has %d rows of runs that have ended, such as %s", n, one))
	}
	return nil
}

// problems adds what is wrong of one kind to a Health, and counts what is beyond
// maxProblems.
type problems struct {
	h     *Health
	found int
}

func (p *problems) add(text string) {
	if p.found++; p.found <= maxProblems {
		p.h.Problems = append(p.h.Problems, text)
	}
}

func (p *problems) end(what string) {
	if more := p.found - maxProblems; more > 0 {
		p.h.Problems = append(p.h.Problems, fmt.Sprintf("%d more %s are like these", more, what))
	}
}

// checkLedger decodes each entry.
func (s *Store) checkLedger(ctx context.Context, h *Health) error {
	if h.Schema < ledgerStep {
		return nil
	}
	found := problems{h: h}
	err := s.Ledger(ctx, LedgerFilter{Begun: true}, func(e Entry) bool {
		h.Ledger++
		if e.Path == "" || e.Size < 0 {
			found.add(fmt.Sprintf("the ledger of job %q has a file %q of %d bytes", e.Job, e.Path, e.Size))
		}
		return true
	})
	found.end("entries")
	return err
}

// checkReceipts holds the receipts against each other and against the runs.
func (s *Store) checkReceipts(ctx context.Context, h *Health) error {
	if h.Schema < receiptStep {
		return nil
	}
	found := problems{h: h}
	r := s.Receipts()
	report, err := receipt.Verify(ctx, r, r, receipt.Options{Found: func(f receipt.Finding) {
		if f.Problem {
			found.add("receipts: " + f.String())
		}
	}})
	if err != nil {
		return err
	}
	h.Receipts = report.Receipts
	found.end("findings about receipts")
	return nil
}

// checkRecords decodes each record, and holds it against the columns beside it.
func (s *Store) checkRecords(ctx context.Context, h *Health) error {
	found := problems{h: h}
	for after := ""; ; {
		seen := 0
		err := s.db.Each(ctx, fmt.Sprintf("SELECT id, job, state, record FROM lh_run WHERE id > $1 ORDER BY id LIMIT %d", pruneBatch), []any{after},
			func(scan func(...any) error) error {
				var r row
				var state string
				if err := scan(&r.id, &r.job, &state, &r.record); err != nil {
					return err
				}
				seen++
				after = r.id
				run, err := s.read(r)
				switch {
				case err != nil:
					found.add(err.Error())
				case string(run.State) != state:
					found.add(fmt.Sprintf("run %s of job %q is recorded as %s, and listed as %s", r.id, r.job, run.State, state))
				}
				return nil
			})
		if err != nil {
			return err
		}
		if seen < pruneBatch {
			break
		}
	}
	found.end("records")
	return nil
}
