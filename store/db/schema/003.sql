CREATE TABLE lh_receipt (
  seq BIGINT PRIMARY KEY,
  run TEXT NOT NULL,
  list TEXT NOT NULL,
  hash TEXT NOT NULL,
  head TEXT NOT NULL
);
CREATE TABLE lh_receipt_list (
  run TEXT NOT NULL,
  list TEXT NOT NULL,
  part BIGINT NOT NULL,
  lines TEXT NOT NULL,
  PRIMARY KEY (run, list, part)
);
CREATE TABLE lh_receipt_run (
  run TEXT PRIMARY KEY,
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL
);
CREATE UNIQUE INDEX lh_receipt_run_seq ON lh_receipt_run (seq) WHERE seq > 0;
INSERT INTO lh_receipt_run (run, seq, hash) SELECT id, 0, '' FROM lh_run WHERE state NOT IN ('waiting', 'running');
CREATE TABLE lh_chain (
  place TEXT PRIMARY KEY,
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL
);
