package storetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"linehaul/store"
	"linehaul/store/db"
)

// Fill records runs of some jobs, job-000 and so on, in turn and each a minute after
// the one before, the last one a minute before an instant. They are as those of
// jobs are that move a file: all but one in ten have done so, and that failed.
func Fill(t testing.TB, s *store.Store, jobs, runs int, before time.Time) {
	t.Helper()
	ctx := context.Background()
	const rows = 5000
	for from := 0; from < runs; from += rows {
		err := s.DB().Tx(ctx, func(tx *db.Tx) error {
			for i := from; i < min(from+rows, runs); i++ {
				r := past(t, fmt.Sprintf("job-%03d", i%jobs), i, before.Add(-time.Duration(runs-i)*time.Minute))
				record, err := json.Marshal(r)
				if err != nil {
					return err
				}
				_, err = tx.Exec(ctx, "INSERT INTO lh_run (id, job, state, owner, take, queued, nominal, ended, cancel, record, host, link) VALUES ($1, $2, $3, $4, 1, 1, $5, $6, '', $7, 'hk1', '')",
					r.ID, r.Job, string(r.State), "owner-"+r.Job, r.Nominal.UnixMilli(), r.Ended.UnixMilli(), string(record))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// What a database does by itself sooner or later.
	for _, statement := range map[db.Kind][]string{db.SQLite: {"PRAGMA wal_checkpoint(PASSIVE)"}, db.PostgreSQL: {"ANALYZE lh_run"}}[s.DB().Kind()] {
		if _, err := s.DB().Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
}

// past is a run that has ended.
func past(t testing.TB, job string, i int, at time.Time) store.Run {
	t.Helper()
	id, err := store.NewRunID(at, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ended := at.Add(7 * time.Second)
	r := store.Run{
		ID: id, Job: job, Host: "hk1", Trigger: "schedule", Nominal: at.Truncate(time.Minute), Started: at, Ended: ended,
		State: store.OK, Matched: 1, Moved: 1, Bytes: 1 << 20, Version: "1.0", PID: 4711, Take: 1, Queued: true,
		Root: "/srv/backup/" + job, Node: "mover-1", LogPath: "/var/log/linehaul/" + job + "/" + id + ".log",
		Attempts: []store.Attempt{{Number: 1, Started: at, Ended: ended}},
		Files: []store.File{{
			Source: "/var/backups/db-20261123.sql.gz", Target: "/srv/backup/" + job + "/20261123/db.sql.gz", Bytes: 1 << 20, MTime: at,
			SHA256: strings.Repeat("0123456789abcdef", 4), Verified: "sha256", Seconds: 5.1,
		}},
	}
	if i%10 == 9 {
		r.State, r.Code, r.Layer, r.Error = store.Failed, 3, "tcp", "dial 10.20.0.5:22: connection refused"
		r.Moved, r.Bytes, r.Files = 0, 0, nil
		r.Attempts[0].Code, r.Attempts[0].Layer, r.Attempts[0].Error = r.Code, r.Layer, r.Error
	}
	return r
}
