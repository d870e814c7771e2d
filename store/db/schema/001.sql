CREATE TABLE lh_node (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  labels TEXT NOT NULL,
  pid BIGINT NOT NULL,
  serves BIGINT NOT NULL,
  version TEXT NOT NULL,
  config TEXT NOT NULL,
  started BIGINT NOT NULL,
  beat BIGINT NOT NULL
);
CREATE TABLE lh_run (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL,
  state TEXT NOT NULL,
  owner TEXT NOT NULL,
  take BIGINT NOT NULL,
  queued BIGINT NOT NULL,
  host TEXT NOT NULL,
  link TEXT NOT NULL,
  nominal BIGINT NOT NULL,
  ended BIGINT NOT NULL,
  cancel TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX lh_run_job ON lh_run (job, id);
CREATE INDEX lh_run_job_state ON lh_run (job, state, id);
CREATE INDEX lh_run_state ON lh_run (state, id);
CREATE TABLE lh_run_files (
  run TEXT NOT NULL,
  part BIGINT NOT NULL,
  lines TEXT NOT NULL,
  PRIMARY KEY (run, part)
);
CREATE TABLE lh_attachment (
  run TEXT NOT NULL,
  name TEXT NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY (run, name)
);
CREATE TABLE lh_progress (
  run TEXT PRIMARY KEY,
  content TEXT NOT NULL
);
CREATE TABLE lh_pause (
  job TEXT PRIMARY KEY,
  content TEXT NOT NULL
);
CREATE TABLE lh_lock (
  job TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  pid BIGINT NOT NULL,
  run TEXT NOT NULL,
  token TEXT NOT NULL
);
CREATE TABLE lh_schedule (
  job TEXT PRIMARY KEY,
  last BIGINT NOT NULL
);
