package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"linehaul/receipt"
	"linehaul/store"
	"linehaul/store/db"
)

// fillRows is how many runs are made in one transaction.
const fillRows = 20_000

// Fill records runs of some jobs, job-000 and so on, in turn and each a minute after
// the one before, the last one a minute before an instant, in a store that has none.
// They are as those of jobs are that move a file: all but one in ten have done so, and
// that failed. Each has its receipt, as long as a true one; but the hashes are made
// up, so that the database makes all of it by itself, a million runs in a minute or two.
func Fill(t testing.TB, s *store.Store, jobs, runs int, before time.Time) {
	t.Helper()
	ctx := context.Background()
	f := newFilling(t, s.DB().Kind(), jobs, runs, before)
	for from := 0; from < runs; from += fillRows {
		err := s.DB().Tx(ctx, func(tx *db.Tx) error {
			for _, m := range f.made {
				args := append([]any{from, min(from+fillRows, runs)}, m.args...)
				if _, err := tx.Exec(ctx, f.source+m.statement, args...); err != nil {
					return fmt.Errorf("%s: %w", m.statement, err)
				}
			}
			_, err := tx.Exec(ctx, `INSERT INTO lh_chain (place, seq, hash) SELECT 'end', seq, hash FROM lh_receipt_run WHERE seq = $1
				ON CONFLICT (place) DO UPDATE SET seq = excluded.seq, hash = excluded.hash`, min(from+fillRows, runs))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// What a database does by itself sooner or later.
	after := []string{"PRAGMA wal_checkpoint(PASSIVE)"}
	if s.DB().Kind() == db.PostgreSQL {
		after = []string{"ANALYZE lh_run", "ANALYZE lh_receipt", "ANALYZE lh_receipt_run", "ANALYZE lh_receipt_list", "CHECKPOINT"}
	}
	for _, statement := range after {
		if _, err := s.DB().Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
}

// filling is how runs are made.
type filling struct {
	source string // begins each statement: what differs from run to run, between the numbers $1 and $2
	made   []made
}

// made is a statement that makes rows of one table, with its parameters after the
// first two.
type made struct {
	statement string
	args      []any
}

// The words in samples that each run has its own of.
const (
	idWord, jobWord, seqWord, hashWord = "@id", "@job", "@seq", "@hash"
	beganWord, endedWord               = "@began", "@ended"
)

func newFilling(t testing.TB, kind db.Kind, jobs, runs int, before time.Time) filling {
	t.Helper()
	ok, failed := samples(t)
	second := before.Unix()
	// Of run i, from 0, in seconds.
	at := fmt.Sprintf("(%d - (%d - i) * 60)", second, runs)
	stamp := func(seconds, format string) string { return "strftime('" + format + "', " + seconds + ", 'unixepoch')" }
	text := "printf('job-%03d', i % " + fmt.Sprint(jobs) + ")"
	number := "printf('%05d', i % 100000)"
	hash := "lower(hex(randomblob(32)))"
	if kind == db.PostgreSQL {
		stamp = func(seconds, format string) string {
			format = strings.NewReplacer("%Y", "YYYY", "%m", "MM", "%d", "DD", "%H", "HH24", "%M", "MI", "%S", "SS", "T", `"T"`, "Z", `"Z"`).Replace(format)
			return "to_char(to_timestamp(" + seconds + ") AT TIME ZONE 'UTC', '" + format + "')"
		}
		text = "'job-' || lpad(CAST(i % " + fmt.Sprint(jobs) + " AS TEXT), 3, '0')"
		number = "lpad(CAST(i % 100000 AS TEXT), 5, '0')"
		hash = "encode(sha256(CAST(CAST(i AS TEXT) AS BYTEA)), 'hex')"
	}
	source := `WITH RECURSIVE n(i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2),
		r AS (SELECT i, ` + at + ` AS at, ` + stamp(at, "%Y%m%dT%H%M%SZ") + ` || '-000' || ` + number + ` AS id, ` + text + ` AS job, ` +
		stamp(at, "%Y-%m-%dT%H:%M:%SZ") + ` AS began, ` + stamp(at+" + 7", "%Y-%m-%dT%H:%M:%SZ") + ` AS ended, i % 10 = 9 AS failed FROM n) `
	fill := func(sample string) string {
		for _, word := range []string{idWord, jobWord, beganWord, endedWord} {
			sample = "replace(" + sample + ", '" + word + "', " + word[1:] + ")"
		}
		return sample
	}
	chosen := fill("CASE WHEN failed THEN CAST($3 AS TEXT) ELSE CAST($4 AS TEXT) END")
	return filling{source, []made{
		{`INSERT INTO lh_run (id, job, state, owner, take, queued, nominal, ended, cancel, record, host, link)
			SELECT id, job, CASE WHEN failed THEN 'failed' ELSE 'ok' END, 'owner-' || job, 1, 1, at * 1000, (at + 7) * 1000, '', ` + chosen + `, 'hk1', '' FROM r`,
			[]any{failed.record, ok.record}},
		{`INSERT INTO lh_receipt_run (run, seq, hash) SELECT id, i + 1, ` + hash + ` FROM r`, nil},
		{`INSERT INTO lh_receipt (seq, run, list, hash, head)
			SELECT i + 1, id, id, hash, replace(replace(` + chosen + `, '` + seqWord + `', CAST(i + 1 AS TEXT)), '` + hashWord + `', hash)
			FROM r JOIN lh_receipt_run ON run = id`, []any{failed.head, ok.head}},
		{`INSERT INTO lh_receipt_list (run, list, part, lines) SELECT id, id, 0, ` + fill("CAST($3 AS TEXT)") + ` FROM r WHERE NOT failed`, []any{ok.list}},
	}}
}

// sample is what a run leaves, with words in it that each run has its own of.
type sample struct{ record, head, list string }

// samples are a run that moved a file, and one that failed.
func samples(t testing.TB) (ok, failed sample) {
	t.Helper()
	began := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	ended := began.Add(time.Second)
	words := strings.NewReplacer(began.Format(time.RFC3339), beganWord, ended.Format(time.RFC3339), endedWord)
	r := store.Run{
		ID: idWord, Job: jobWord, Host: "hk1", Trigger: "schedule", Nominal: began, Started: began, Ended: ended,
		State: store.OK, Matched: 1, Moved: 1, Bytes: 1 << 20, Version: "1.0", PID: 4711, Take: 1, Queued: true,
		Way: receipt.Get, Address: "10.20.0.5:22", HostKey: &store.HostKey{Type: "ssh-ed25519", Fingerprint: "SHA256:" + strings.Repeat("A1b2", 10) + "xyz"},
		Root: "/srv/backup/" + jobWord, Node: "mover-1", LogPath: "/var/log/linehaul/" + jobWord + "/" + idWord + ".log",
		Attempts: []store.Attempt{{Number: 1, Started: began, Ended: ended}},
		Files: []store.File{{
			Source: "/var/backups/db-20261123.sql.gz", Target: "/srv/backup/" + jobWord + "/20261123/db.sql.gz", Bytes: 1 << 20, MTime: began,
			SHA256: strings.Repeat("0123456789abcdef", 4), Verified: "sha256", Seconds: 5.1,
		}},
	}
	head := receipt.Head{
		Run: r.ID, Job: r.Job, Trigger: r.Trigger, Nominal: r.Nominal, Started: r.Started, Ended: r.Ended, Node: r.Node, Program: r.Version,
		Way: r.Way, Host: r.Host, Address: r.Address, HostKey: &receipt.HostKey{Type: r.HostKey.Type, Fingerprint: r.HostKey.Fingerprint},
		State: string(r.State), Attempts: 1, Matched: 1, Moved: 1, Bytes: r.Bytes,
	}
	f := r.Files[0]
	var list receipt.List
	line, err := list.Add(receipt.File{Source: f.Source, Target: f.Target, Bytes: f.Bytes, MTime: f.MTime, SHA256: f.SHA256, Verified: f.Verified})
	if err != nil {
		t.Fatal(err)
	}
	head.Files = list.Files()
	leaves := func(list string) sample {
		record, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return sample{words.Replace(string(record)), words.Replace(sealed(t, head)), words.Replace(list)}
	}
	ok = leaves(line + "\n")
	r.State, r.Code, r.Layer, r.Error = store.Failed, 3, "tcp", "dial 10.20.0.5:22: connection refused"
	r.Moved, r.Bytes, r.Files = 0, 0, nil
	r.Attempts[0].Code, r.Attempts[0].Layer, r.Attempts[0].Error = r.Code, r.Layer, r.Error
	head.State, head.Code, head.Layer, head.Error = string(r.State), r.Code, r.Layer, r.Error
	head.Moved, head.Bytes, head.Files = 0, 0, new(receipt.List).Files()
	return ok, leaves("")
}

// sealed is a receipt with words in place of its number and of the hash before.
func sealed(t testing.TB, h receipt.Head) string {
	t.Helper()
	before := receipt.Place{Seq: 1 << 40, Hash: receipt.HashOf("before")}
	s, err := receipt.Seal(h, before)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(fmt.Sprint(before.Seq+1), seqWord, before.Hash.String(), hashWord).Replace(s.Text)
}
