CREATE TABLE lh_run_moved (
  run TEXT NOT NULL,
  part BIGINT NOT NULL,
  take BIGINT NOT NULL,
  node TEXT NOT NULL,
  lines TEXT NOT NULL,
  PRIMARY KEY (run, part)
);
