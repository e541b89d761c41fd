-- Server parameters. Those for superusers are not among them without pg_read_all_settings, which pg_monitor holds.

-- name: settings
-- facet: settings
-- versions: >=15
-- privilege: CONNECT
SELECT s.name,
       s.reset_val AS value, -- not "setting": our own session has limits of its own
       s.unit,
       s.boot_val AS default_value,
       CASE WHEN s.source <> 'session' THEN s.source
            WHEN s.reset_val = s.boot_val THEN 'default'
            ELSE 'configured' -- below our session's value PostgreSQL does not tell where its own comes from
        END AS source,
       s.context,
       s.pending_restart AS is_pending_restart
  FROM pg_catalog.pg_settings AS s
 ORDER BY s.name COLLATE "C";

-- name: setting_detail
-- facet: settings
-- versions: >=15
-- privilege: CONNECT
-- parameters: name text
SELECT s.name,
       s.vartype,
       s.context,
       s.category,
       s.unit,
       s.min_val,
       s.max_val,
       s.enumvals,
       s.boot_val,
       s.reset_val,
       s.source,
       s.pending_restart AS is_pending_restart,
       pg_catalog.has_parameter_privilege(s.name, 'ALTER SYSTEM') AS may_alter,
       pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE') AS may_reload
  FROM pg_catalog.pg_settings AS s
 WHERE pg_catalog.lower(s.name) = pg_catalog.lower($1);

-- name: setting_files
-- facet: settings
-- versions: >=15
-- privilege: SELECT ON pg_file_settings
-- What the files say, the last line of a name counts; with what it would replace, as far as a reload can tell.
SELECT f.sourcefile AS source_file,
       f.sourceline AS source_line,
       f.name,
       f.setting AS value,
       f.error,
       s.name IS NULL AS is_unknown,
       s.context,
       s.vartype,
       s.unit,
       s.reset_val,
       s.source
  FROM pg_catalog.pg_file_settings AS f
  LEFT JOIN pg_catalog.pg_settings AS s ON pg_catalog.lower(s.name) = pg_catalog.lower(f.name)
 ORDER BY f.seqno;

-- name: setting_overrides
-- facet: settings
-- versions: >=15
-- privilege: CONNECT
-- parameters: name text
SELECT d.datname::text AS database_name, r.rolname::text AS role_name, one.pair AS assignment
  FROM pg_catalog.pg_db_role_setting AS o
 CROSS JOIN LATERAL pg_catalog.unnest(o.setconfig) AS one (pair)
  LEFT JOIN pg_catalog.pg_database AS d ON d.oid = o.setdatabase
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = o.setrole
 WHERE pg_catalog.lower(pg_catalog.split_part(one.pair, '=', 1)) = pg_catalog.lower($1)
 ORDER BY database_name NULLS FIRST, role_name NULLS FIRST
 LIMIT 20;

-- name: reload
-- facet: settings
-- versions: >=15
-- privilege: EXECUTE ON pg_reload_conf
SELECT pg_catalog.pg_reload_conf() AS is_sent;
