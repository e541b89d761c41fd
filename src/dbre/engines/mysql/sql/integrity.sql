-- Tables, columns, keys and counters of users: what digests and checks are composed of.

-- name: integrity_session
-- facet: integrity
-- versions: *
-- privilege: USAGE
-- Times and text must come out the same on every server.
SET SESSION time_zone = '+00:00', SESSION sql_mode = '', NAMES utf8mb4;

-- name: integrity_tables
-- facet: integrity
-- versions: *
-- privilege: SELECT on the tables
SELECT t.TABLE_SCHEMA AS schema_name, t.TABLE_NAME AS table_name, t.ENGINE AS engine, t.AUTO_INCREMENT AS next_value
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_TYPE = 'BASE TABLE'
   AND t.TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'dbre')
   AND (DATABASE() IS NULL OR t.TABLE_SCHEMA = DATABASE())
 ORDER BY BINARY t.TABLE_SCHEMA, BINARY t.TABLE_NAME;

-- name: integrity_columns
-- facet: integrity
-- versions: *
-- privilege: SELECT on the tables
-- parameters: schema text, name text
SELECT c.COLUMN_NAME AS column_name, c.DATA_TYPE AS data_type, c.COLUMN_KEY AS column_key, c.EXTRA AS extra
  FROM information_schema.COLUMNS AS c
 WHERE c.TABLE_SCHEMA = ? AND c.TABLE_NAME = ?
 ORDER BY c.ORDINAL_POSITION;

-- name: integrity_references
-- facet: integrity
-- versions: *
-- privilege: SELECT on the tables
SELECT k.CONSTRAINT_NAME AS constraint_name,
       k.TABLE_SCHEMA AS schema_name,
       k.TABLE_NAME AS table_name,
       k.COLUMN_NAME AS column_name,
       k.REFERENCED_TABLE_SCHEMA AS target_schema,
       k.REFERENCED_TABLE_NAME AS target_table,
       k.REFERENCED_COLUMN_NAME AS target_column
  FROM information_schema.KEY_COLUMN_USAGE AS k
 WHERE k.REFERENCED_TABLE_NAME IS NOT NULL
   AND (DATABASE() IS NULL OR k.TABLE_SCHEMA = DATABASE())
 ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION;

-- name: integrity_engines
-- facet: integrity
-- versions: *
-- privilege: USAGE
SELECT e.ENGINE AS engine, e.SUPPORT AS support
  FROM information_schema.ENGINES AS e;
