-- What probe clients do: acts whose acknowledgements are held against what is there afterwards. Opt-in: they write.
-- The ledger has no unique key of its own on purpose: what came twice must be seen twice.

-- name: client_schema
-- facet: client
-- versions: *
-- privilege: CREATE ON dbre
CREATE DATABASE IF NOT EXISTS dbre;

-- name: client_ledger_table
-- facet: client
-- versions: *
-- privilege: CREATE ON dbre
CREATE TABLE IF NOT EXISTS dbre.client_ledger (
  place bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  run varchar(64) CHARACTER SET ascii NOT NULL,
  id bigint NOT NULL,
  at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  KEY client_ledger_run (run)
) ENGINE = InnoDB;

-- name: client_register_table
-- facet: client
-- versions: *
-- privilege: CREATE ON dbre
CREATE TABLE IF NOT EXISTS dbre.client_register (
  run varchar(64) CHARACTER SET ascii NOT NULL,
  number bigint NOT NULL,
  value bigint NOT NULL,
  PRIMARY KEY (run, number)
) ENGINE = InnoDB;

-- name: client_state
-- facet: client
-- versions: *
-- privilege: USAGE
SELECT COUNT(*) AS tables
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = 'dbre' AND t.TABLE_NAME IN ('client_ledger', 'client_register');

-- name: client_who
-- facet: client
-- versions: *
-- privilege: USAGE
SELECT @@global.read_only AS is_read_only;

-- name: client_ledger_write
-- facet: client
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.client_ledger
-- parameters: run text, id bigint
INSERT INTO dbre.client_ledger (run, id)
VALUES (?, ?);

-- name: client_ledger_read
-- facet: client
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.client_ledger
-- parameters: run text
SELECT l.id
  FROM dbre.client_ledger AS l
 WHERE l.run = ?;

-- name: client_register_read
-- facet: client
-- versions: *
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: run text, key bigint
SELECT r.value
  FROM dbre.client_register AS r
 WHERE r.run = ? AND r.number = ?;

-- name: client_register_write
-- facet: client
-- versions: *
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: run text, key bigint, value bigint
INSERT INTO dbre.client_register (run, number, value)
VALUES (?, ?, ?)
ON DUPLICATE KEY UPDATE value = VALUES(value);

-- name: client_register_cas
-- facet: client
-- versions: *
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: new bigint, run text, key bigint, old bigint
UPDATE dbre.client_register AS r
   SET r.value = ?
 WHERE r.run = ? AND r.number = ? AND r.value = ?;

-- name: client_changed
-- facet: client
-- versions: *
-- privilege: USAGE
SELECT ROW_COUNT() AS changed;

-- name: client_ledger_remove
-- facet: client
-- versions: *
-- privilege: SELECT, INSERT, DELETE ON dbre.client_ledger
-- parameters: run text
DELETE FROM dbre.client_ledger WHERE run = ?;

-- name: client_register_remove
-- facet: client
-- versions: *
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: run text
DELETE FROM dbre.client_register WHERE run = ?;
