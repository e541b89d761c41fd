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
