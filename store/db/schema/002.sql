CREATE TABLE lh_ledger (
  job TEXT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL,
  exact TEXT NOT NULL,
  size BIGINT NOT NULL,
  mtime BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  target TEXT NOT NULL,
  run TEXT NOT NULL,
  at BIGINT NOT NULL,
  done BIGINT NOT NULL,
  PRIMARY KEY (job, host, path)
);
