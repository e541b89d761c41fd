-- A chain of rows, each naming the one before it: what recovery brought back can be compared with what was acknowledged.
-- Opt-in: it writes. The table is small, and old rows are deleted.

-- name: canary_schema
-- facet: canary
-- versions: *
-- privilege: CREATE ON dbre
CREATE DATABASE IF NOT EXISTS dbre;

-- name: canary_table
-- facet: canary
-- versions: *
-- privilege: CREATE ON dbre
CREATE TABLE IF NOT EXISTS dbre.canary (
  sequence bigint PRIMARY KEY,
  at datetime(6) NOT NULL,
  nonce varchar(64) CHARACTER SET ascii NOT NULL,
  previous char(64) CHARACTER SET ascii NOT NULL,
  hash char(64) CHARACTER SET ascii NOT NULL
) ENGINE = InnoDB;

-- name: canary_there
-- facet: canary
-- versions: *
-- privilege: USAGE
SELECT COUNT(*) AS tables
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = 'dbre' AND t.TABLE_NAME = 'canary';

-- name: canary_last
-- facet: canary
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.canary
SELECT UTC_TIMESTAMP(6) AS now_at,
       (SELECT c.sequence FROM dbre.canary AS c ORDER BY c.sequence DESC LIMIT 1) AS last_sequence,
       (SELECT c.hash FROM dbre.canary AS c ORDER BY c.sequence DESC LIMIT 1) AS last_hash;

-- name: canary_write
-- facet: canary
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.canary
-- parameters: sequence bigint, at text, nonce text, previous text, hash text
INSERT INTO dbre.canary (sequence, at, nonce, previous, hash)
VALUES (?, ?, ?, ?, ?);

-- name: canary_newest
-- facet: canary
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.canary
-- parameters: count bigint
SELECT c.sequence, c.at, c.nonce, c.previous, c.hash
  FROM dbre.canary AS c
 ORDER BY c.sequence DESC
 LIMIT ?;

-- name: canary_old
-- facet: canary
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.canary
-- parameters: seconds bigint
SELECT COUNT(*) AS gone, MAX(c.sequence) AS up_to
  FROM dbre.canary AS c
 WHERE c.at < UTC_TIMESTAMP(6) - INTERVAL ? SECOND
   AND c.sequence < (SELECT MAX(d.sequence) FROM dbre.canary AS d);

-- name: canary_prune
-- facet: canary
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.canary
-- parameters: sequence bigint
DELETE FROM dbre.canary
 WHERE sequence <= ?;
