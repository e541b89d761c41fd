-- Digests of rows, and checks of pages, indexes and constraints. Everything only reads. Statements whose tables are known
-- only at run time are composed in integrity_queries.py, with the names as identifiers.

-- name: integrity_session
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.set_config('DateStyle', 'ISO, YMD', false) AS date_style,
       pg_catalog.set_config('TimeZone', 'UTC', false) AS time_zone,
       pg_catalog.set_config('IntervalStyle', 'postgres', false) AS interval_style,
       pg_catalog.set_config('extra_float_digits', '3', false) AS float_digits,
       pg_catalog.set_config('bytea_output', 'hex', false) AS bytea_form,
       -- An index only scan would believe the visibility map, and an index is no witness for its table.
       pg_catalog.set_config('enable_indexscan', 'off', false) AS index_scan,
       pg_catalog.set_config('enable_indexonlyscan', 'off', false) AS index_only_scan,
       pg_catalog.set_config('enable_bitmapscan', 'off', false) AS bitmap_scan,
       pg_catalog.set_config('row_security', 'off', false) AS row_security;

-- name: integrity_tables
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT n.nspname::text AS schema_name, c.relname::text AS table_name
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'dbre') AND n.nspname NOT LIKE 'pg\_toast%'
 ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C";

-- name: integrity_heaps
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT n.nspname::text AS schema_name, c.relname::text AS table_name
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p'
   AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
 ORDER BY c.oid;

-- name: integrity_columns
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
-- parameters: schema name, table name
SELECT a.attname::text AS column_name,
       -- Whether record_hash_extended finds a hash function for the type; others are compared by their text.
       EXISTS (SELECT
                 FROM pg_catalog.pg_opclass AS o
                 JOIN pg_catalog.pg_am AS m ON m.oid = o.opcmethod
                WHERE m.amname = 'hash' AND o.opcdefault AND o.opcintype = COALESCE(NULLIF(t.typbasetype, 0), t.oid))
         OR t.typname = 'varchar' OR t.typtype = 'e' AS is_hashable,
       COALESCE(pg_catalog.array_position(i.indkey::smallint[], a.attnum) IS NOT NULL, false) AS is_key
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
 WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum;

-- name: integrity_data_checksums
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.current_setting('data_checksums') = 'on' AS has_checksums;

-- name: integrity_amcheck
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT n.nspname::text AS schema_name
  FROM pg_catalog.pg_extension AS e
  JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
 WHERE e.extname = 'amcheck';

-- name: integrity_btrees
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT c.oid AS index_oid, n.nspname::text AS schema_name, c.relname::text AS index_name
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
 WHERE m.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p' AND i.indisvalid AND i.indisready
 ORDER BY c.oid;

-- name: integrity_amcheck_heaps
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT c.oid AS table_oid, n.nspname::text AS schema_name, c.relname::text AS table_name
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p'
 ORDER BY c.oid;

-- name: integrity_invalid_indexes
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT n.nspname::text AS schema_name, c.relname::text AS index_name, i.indisready AS is_ready,
       count(*) OVER () AS invalid_count
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'i' AND NOT (i.indisvalid AND i.indisready AND i.indislive)
 ORDER BY c.oid;

-- name: integrity_index_count
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT count(*) AS indexes FROM pg_catalog.pg_index;

-- name: integrity_foreign_keys
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT k.conname::text AS constraint_name,
       n.nspname::text AS schema_name, c.relname::text AS table_name,
       fn.nspname::text AS target_schema, f.relname::text AS target_table,
       (SELECT pg_catalog.array_agg(a.attname::text ORDER BY u.position)
          FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (attnum, position)
          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum) AS columns,
       (SELECT pg_catalog.array_agg(a.attname::text ORDER BY u.position)
          FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u (attnum, position)
          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.attnum) AS target_columns
  FROM pg_catalog.pg_constraint AS k
  JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class AS f ON f.oid = k.confrelid
  JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.relnamespace
 WHERE k.contype = 'f' AND k.convalidated AND c.relkind = 'r'
 ORDER BY k.oid;

-- name: integrity_sequences
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT sn.nspname::text AS sequence_schema, s.relname::text AS sequence_name,
       n.nspname::text AS schema_name, c.relname::text AS table_name, a.attname::text AS column_name
  FROM pg_catalog.pg_depend AS d
  JOIN pg_catalog.pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.relnamespace
  JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = s.oid AND q.seqincrement > 0
  JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
   AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 AND t.typname IN ('int2', 'int4', 'int8')
 ORDER BY s.oid;

-- name: integrity_collations
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT 'database'::text AS kind, d.datname::text AS name, d.datcollversion AS recorded,
       pg_catalog.pg_database_collation_actual_version(d.oid) AS actual
  FROM pg_catalog.pg_database AS d
 WHERE d.datname = pg_catalog.current_database()
 UNION ALL
SELECT 'collation'::text, c.collname::text, c.collversion, pg_catalog.pg_collation_actual_version(c.oid)
  FROM pg_catalog.pg_collation AS c
 WHERE c.collversion IS NOT NULL
   AND EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attcollation = c.oid AND a.attrelid >= 16384);

-- name: integrity_extensions
-- facet: integrity
-- versions: >=15
-- privilege: CONNECT
SELECT e.extname::text AS name, e.extversion AS version,
       EXISTS (SELECT FROM pg_catalog.pg_available_extension_versions AS v
                WHERE v.name = e.extname AND v.version = e.extversion) AS is_available
  FROM pg_catalog.pg_extension AS e
 ORDER BY e.extname;
