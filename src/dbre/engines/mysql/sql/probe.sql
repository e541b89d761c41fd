-- One measurement from a client's point of view.

-- name: probe_state
-- facet: probe
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
SELECT @@GLOBAL.read_only AS is_read_only,
       (SELECT s.VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS AS s WHERE s.VARIABLE_NAME = 'SLAVES_RUNNING') AS appliers;

-- name: probe_state
-- facet: probe
-- products: mysql
-- versions: >=8.0
-- privilege: SELECT ON performance_schema
SELECT @@GLOBAL.read_only OR @@GLOBAL.super_read_only AS is_read_only,
       (SELECT COUNT(*)
          FROM performance_schema.replication_applier_status AS a
         WHERE a.SERVICE_STATE = 'ON' AND a.CHANNEL_NAME NOT LIKE 'group_replication%') AS appliers;

-- name: begin
-- facet: probe
-- versions: *
-- privilege: USAGE
START TRANSACTION;

-- name: heartbeat_write
-- facet: probe
-- versions: *
-- privilege: SELECT, INSERT, UPDATE ON dbre.heartbeat
-- parameters: id text, sequence bigint
-- A late writer, thawed after its successor, must not take the sequence back. Assignments run from left to right, so the time
-- is decided before the sequence changes.
INSERT INTO dbre.heartbeat (id, sequence, written_at)
VALUES (?, ?, UTC_TIMESTAMP(6))
    ON DUPLICATE KEY UPDATE
       written_at = IF(VALUES(sequence) > sequence, VALUES(written_at), written_at),
       sequence = GREATEST(sequence, VALUES(sequence));

-- name: commit
-- facet: probe
-- versions: *
-- privilege: USAGE
COMMIT;

-- name: heartbeat_read
-- facet: probe
-- versions: *
-- privilege: SELECT ON dbre.heartbeat
-- parameters: id text
SELECT h.sequence
  FROM dbre.heartbeat AS h
 WHERE h.id = ?;

-- name: heartbeat_columns
-- facet: probe
-- versions: *
-- privilege: USAGE
SELECT c.COLUMN_NAME AS column_name, c.DATA_TYPE AS column_type
  FROM information_schema.COLUMNS AS c
 WHERE c.TABLE_SCHEMA = 'dbre' AND c.TABLE_NAME = 'heartbeat';

-- name: heartbeat_schema
-- facet: probe
-- versions: *
-- privilege: CREATE ON dbre
CREATE DATABASE IF NOT EXISTS dbre;

-- name: heartbeat_table
-- facet: probe
-- versions: *
-- privilege: CREATE ON dbre
-- Names are compared byte by byte: two clusters whose names differ in case only are two.
CREATE TABLE IF NOT EXISTS dbre.heartbeat (
  id varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY,
  sequence bigint NOT NULL,
  written_at datetime(6) NOT NULL
) ENGINE = InnoDB;
