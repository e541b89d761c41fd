-- One table of a restored server, compared with the living one and copied beside it. Statements whose tables are known only
-- at run time are composed in table_queries.py, with the names as identifiers.

-- name: table_copies_session
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.set_config('DateStyle', 'ISO, YMD', false) AS date_style,
       pg_catalog.set_config('TimeZone', 'UTC', false) AS time_zone,
       pg_catalog.set_config('IntervalStyle', 'postgres', false) AS interval_style,
       pg_catalog.set_config('extra_float_digits', '3', false) AS float_digits,
       pg_catalog.set_config('bytea_output', 'hex', false) AS bytea_form,
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false) AS search_path,
       -- Policies that hide rows would look like deletions: an error is better.
       pg_catalog.set_config('row_security', 'off', false) AS row_security;

-- name: table_copies_columns
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: schema text, name text
SELECT a.attname::text AS column_name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_text,
       a.attnotnull AS is_required,
       k.number AS key_number
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN (
       SELECT i.indrelid, u.attribute, u.number
         FROM pg_catalog.pg_index AS i
        CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS u(attribute, number)
        WHERE i.indisprimary) AS k ON k.indrelid = c.oid AND k.attribute = a.attnum
 WHERE n.nspname = $1::text::name AND c.relname = $2::text::name AND c.relkind IN ('r', 'p')
 ORDER BY a.attnum;

-- name: table_copies_mark
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: schema text, name text
SELECT c.relkind::text AS kind,
       pg_catalog.obj_description(c.oid, 'pg_class') AS mark,
       pg_catalog.pg_table_size(c.oid) AS bytes
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = $1::text::name AND c.relname = $2::text::name;

-- name: table_copies_rights
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: schema text, name text
SELECT c.relkind::text AS kind,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may_enter,
       NOT EXISTS (
           SELECT
             FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND NOT pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')) AS may_read,
       pg_catalog.row_security_active(c.oid) AS hides_rows,
       CURRENT_USER::text AS login
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = $1::text::name AND c.relname = $2::text::name;

-- name: table_copies_room
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: schema text, name text
SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may_enter,
       pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS may_create,
       -- A table is a type, too.
       EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid AND c.relname = $2::text::name)
       OR EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.typnamespace = n.oid AND t.typname = $2::text::name
                     AND t.typcategory <> 'A') AS is_taken,
       CURRENT_USER::text AS login
  FROM pg_catalog.pg_namespace AS n
 WHERE n.nspname = $1::text::name;

-- name: table_copies_type
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: type text
SELECT pg_catalog.to_regtype($1::text) IS NOT NULL AS is_there;

-- name: table_copies_left_out
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: schema text, name text
WITH t AS (
     SELECT c.oid, c.relkind, c.relacl, c.relispartition, c.relrowsecurity
       FROM pg_catalog.pg_class AS c
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = $1::text::name AND c.relname = $2::text::name
)
SELECT f.kind, f.name
  FROM (SELECT 1 AS place, 'index' AS kind, i.relname::text AS name
          FROM t
          JOIN pg_catalog.pg_index AS x ON x.indrelid = t.oid AND NOT x.indisprimary
          JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.oid AND k.conrelid = t.oid)
         UNION ALL
        SELECT 2, CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' WHEN 'u' THEN 'unique constraint'
                                 WHEN 'x' THEN 'exclusion constraint' ELSE 'constraint trigger' END, k.conname::text
          FROM t
          JOIN pg_catalog.pg_constraint AS k ON k.conrelid = t.oid AND k.contype NOT IN ('p', 'n')
         UNION ALL
        SELECT 3, 'foreign key from', k.conrelid::regclass::text || ' (' || k.conname::text || ')'
          FROM t
          JOIN pg_catalog.pg_constraint AS k ON k.confrelid = t.oid AND k.contype = 'f' AND k.conrelid <> t.oid AND k.conparentid = 0
         UNION ALL
        SELECT 4, CASE WHEN a.attidentity <> '' THEN 'identity of' WHEN a.attgenerated <> '' THEN 'generation of'
                       ELSE 'default of' END, a.attname::text
          FROM t
          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE a.atthasdef OR a.attidentity <> ''
         UNION ALL
        SELECT 5, 'trigger', g.tgname::text
          FROM t
          JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
         UNION ALL
        SELECT 6, 'row policy', p.polname::text
          FROM t
          JOIN pg_catalog.pg_policy AS p ON p.polrelid = t.oid
         UNION ALL
        SELECT 7, 'row security', 'of the table' FROM t WHERE t.relrowsecurity
         UNION ALL
        SELECT 8, 'grants', 'of the table' FROM t WHERE t.relacl IS NOT NULL
         UNION ALL
        SELECT 9, 'partitions', 'of the table' FROM t WHERE t.relkind = 'p') AS f
 ORDER BY f.place, f.kind, f.name COLLATE "C";
