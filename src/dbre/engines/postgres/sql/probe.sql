-- One measurement from a client's point of view. The heartbeat table is half empty pages, so that updates stay on them (HOT).

-- name: probe_state
-- facet: probe
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
       pg_catalog.current_setting('transaction_read_only')::boolean AS is_read_only,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_read_control,
       EXISTS (SELECT
                 FROM pg_catalog.pg_class AS c
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = 'dbre' AND c.relname = 'heartbeat'
                  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) AS may_read_heartbeat;

-- name: probe_system
-- facet: probe
-- versions: >=15
-- privilege: EXECUTE ON pg_control_system
SELECT s.system_identifier::text AS system_id
  FROM pg_catalog.pg_control_system() AS s;

-- name: heartbeat_write
-- facet: probe
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE ON dbre.heartbeat
-- parameters: id text, sequence bigint
INSERT INTO dbre.heartbeat AS heartbeat (id, sequence, written_at)
VALUES ($1, $2, pg_catalog.clock_timestamp())
    ON CONFLICT (id) DO UPDATE
   SET sequence = EXCLUDED.sequence, written_at = EXCLUDED.written_at
 WHERE heartbeat.sequence < EXCLUDED.sequence;

-- name: heartbeat_read
-- facet: probe
-- versions: >=15
-- privilege: SELECT ON dbre.heartbeat
-- parameters: id text
SELECT heartbeat.sequence
  FROM dbre.heartbeat AS heartbeat
 WHERE heartbeat.id = $1;

-- name: heartbeat_columns
-- facet: probe
-- versions: >=15
-- privilege: CONNECT
SELECT a.attname::text AS column_name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS column_type
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = 'dbre' AND c.relname = 'heartbeat' AND a.attnum > 0 AND NOT a.attisdropped;

-- name: heartbeat_schema
-- facet: probe
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE SCHEMA IF NOT EXISTS dbre;

-- name: heartbeat_table
-- facet: probe
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE TABLE IF NOT EXISTS dbre.heartbeat (
  id text PRIMARY KEY,
  sequence bigint NOT NULL,
  written_at timestamp with time zone NOT NULL
) WITH (fillfactor = 50);

-- name: begin
-- facet: probe
-- versions: >=15
-- privilege: CONNECT
BEGIN;

-- name: commit
-- facet: probe
-- versions: >=15
-- privilege: CONNECT
COMMIT;
