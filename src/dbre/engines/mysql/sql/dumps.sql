-- What dumps ask of a server before they are taken.

-- name: dump_databases
-- facet: backup
-- versions: *
-- privilege: SHOW DATABASES
SELECT s.SCHEMA_NAME AS name
  FROM information_schema.SCHEMATA AS s
 WHERE s.SCHEMA_NAME NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
 ORDER BY s.SCHEMA_NAME;

-- name: dump_size
-- facet: backup
-- versions: *
-- privilege: SELECT ON *.*
SELECT COALESCE(SUM(t.DATA_LENGTH), 0) AS bytes
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys');

-- name: dump_not_transactional
-- facet: backup
-- versions: *
-- privilege: SELECT ON *.*
-- Tables that change while they are dumped: no snapshot holds for them.
SELECT t.TABLE_SCHEMA AS schema_name, t.TABLE_NAME AS table_name, t.ENGINE AS engine
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
   AND t.TABLE_TYPE = 'BASE TABLE'
   AND t.ENGINE <> 'InnoDB'
 ORDER BY t.TABLE_SCHEMA, t.TABLE_NAME
 LIMIT 101;
