-- A chain of rows, each naming the one before it: what recovery brought back can be compared with what was acknowledged.
-- Opt-in: it writes. The table is small, and old rows are deleted.

-- name: canary_schema
-- facet: canary
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE SCHEMA IF NOT EXISTS dbre;

-- name: canary_table
-- facet: canary
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE TABLE IF NOT EXISTS dbre.canary (
  sequence bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  nonce text NOT NULL,
  previous text NOT NULL,
  hash text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.2, autovacuum_vacuum_threshold = 1000);

-- name: canary_state
-- facet: canary
-- versions: >=15
-- privilege: CONNECT
SELECT EXISTS (SELECT
                 FROM pg_catalog.pg_class AS c
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = 'dbre' AND c.relname = 'canary') AS has_canary;

-- name: canary_write
-- facet: canary
-- versions: >=15
-- privilege: SELECT, INSERT ON dbre.canary
-- parameters: nonce text
  WITH last AS (
       SELECT c.sequence, c.hash FROM dbre.canary AS c ORDER BY c.sequence DESC LIMIT 1),
       next AS (
       SELECT COALESCE((SELECT last.sequence FROM last), 0) + 1 AS sequence,
              pg_catalog.clock_timestamp() AS at,
              $1::text AS nonce,
              COALESCE((SELECT last.hash FROM last), pg_catalog.repeat('0', 64)) AS previous)
INSERT INTO dbre.canary (sequence, at, nonce, previous, hash)
SELECT n.sequence, n.at, n.nonce, n.previous,
       pg_catalog.encode(
         pg_catalog.sha256(
           pg_catalog.convert_to(
             pg_catalog.concat_ws(
               '|', n.previous, n.sequence, (EXTRACT(epoch FROM n.at) * 1000000)::bigint, n.nonce),
             'UTF8')),
         'hex')
  FROM next AS n
RETURNING sequence, at, nonce, previous, hash;

-- name: canary_position
-- facet: canary
-- versions: >=15
-- privilege: CONNECT
SELECT w.lsn::text AS position,
       (w.lsn - '0/0'::pg_lsn)::bigint AS value,
       ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(w.lsn), 1, 8))::bit(32)::bigint AS timeline
  FROM (SELECT pg_catalog.pg_current_wal_flush_lsn() AS lsn) AS w;

-- name: canary_newest
-- facet: canary
-- versions: >=15
-- privilege: SELECT ON dbre.canary
-- parameters: count bigint
SELECT c.sequence, c.at, c.nonce, c.previous, c.hash
  FROM dbre.canary AS c
 ORDER BY c.sequence DESC
 LIMIT $1;

-- name: canary_prune
-- facet: canary
-- versions: >=15
-- privilege: SELECT, DELETE ON dbre.canary
-- parameters: age interval
WITH gone AS (
     DELETE FROM dbre.canary AS c
      WHERE c.at < pg_catalog.clock_timestamp() - $1::interval
        AND c.sequence < (SELECT max(d.sequence) FROM dbre.canary AS d)
  RETURNING c.sequence)
SELECT count(*) AS gone FROM gone;
