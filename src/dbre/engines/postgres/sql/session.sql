-- Who is there, and what may we do.

-- name: identify
-- facet: session
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.current_setting('server_version') AS version_text,
       pg_catalog.pg_is_in_recovery() AS is_in_recovery,
       pg_catalog.pg_postmaster_start_time() AS started_at,
       current_user::text AS login;

-- name: control
-- facet: session
-- versions: >=15
-- privilege: EXECUTE ON pg_control_system
SELECT s.system_identifier::text AS system_id, c.timeline_id AS timeline
  FROM pg_catalog.pg_control_system() AS s
 CROSS JOIN pg_catalog.pg_control_checkpoint() AS c;

-- name: privileges
-- facet: session
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.pg_has_role('pg_monitor', 'USAGE') AS is_monitor,
       -- Everybody may by default; some providers take it away.
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE') AS may_read_control,
       pg_catalog.has_table_privilege('pg_catalog.pg_file_settings', 'SELECT')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE') AS may_read_files,
       pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE') AS may_reload,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create_schema,
       COALESCE(h.may_read, false) AS may_read_heartbeat,
       COALESCE(h.may_read AND h.may_write, false) AS may_write_heartbeat
  FROM (VALUES (true)) AS one
  LEFT JOIN (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                      AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_read,
                    pg_catalog.has_table_privilege(c.oid, 'INSERT')
                      AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') AS may_write
               FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
              WHERE n.nspname = 'dbre' AND c.relname = 'heartbeat') AS h ON true;

-- name: session_limits
-- facet: session
-- versions: >=15
-- privilege: CONNECT
-- parameters: statement_timeout text, lock_timeout text, idle_timeout text
SELECT pg_catalog.set_config('statement_timeout', $1, false) AS statement_timeout,
       pg_catalog.set_config('lock_timeout', $2, false) AS lock_timeout,
       pg_catalog.set_config('idle_in_transaction_session_timeout', $3, false) AS idle_timeout,
       -- pg_temp last: else a temporary table could stand in for one of the catalog
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false) AS search_path,
       pg_catalog.set_config('default_transaction_read_only', 'on', false) AS is_read_only;

-- name: session_begin
-- facet: session
-- versions: >=15
-- privilege: CONNECT
-- parameters: statement_timeout text, lock_timeout text, idle_timeout text
-- session_limits and privileges in one round trip: with hundreds of new sessions each one counts. It is read with the
-- search_path that the database's owner gave it, so that operators are named with their schema, too.
SELECT pg_catalog.set_config('statement_timeout', $1, false) AS statement_timeout,
       pg_catalog.set_config('lock_timeout', $2, false) AS lock_timeout,
       pg_catalog.set_config('idle_in_transaction_session_timeout', $3, false) AS idle_timeout,
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false) AS search_path,
       pg_catalog.set_config('default_transaction_read_only', 'on', false) AS is_read_only,
       pg_catalog.pg_has_role('pg_monitor', 'USAGE') AS is_monitor,
       -- Everybody may by default; some providers take it away.
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE') AS may_read_control,
       pg_catalog.has_table_privilege('pg_catalog.pg_file_settings', 'SELECT')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE') AS may_read_files,
       pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE') AS may_reload,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create_schema,
       COALESCE(h.may_read, false) AS may_read_heartbeat,
       COALESCE(h.may_read AND h.may_write, false) AS may_write_heartbeat
  FROM (VALUES (true)) AS one
  LEFT JOIN (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                      AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_read,
                    pg_catalog.has_table_privilege(c.oid, 'INSERT')
                      AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') AS may_write
               FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
              WHERE n.nspname OPERATOR(pg_catalog.=) 'dbre' AND c.relname OPERATOR(pg_catalog.=) 'heartbeat') AS h ON true;

-- name: login_facts
-- facet: session
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.current_setting('is_superuser') = 'on' AS is_superuser,
       EXISTS (SELECT
                 FROM pg_catalog.pg_class AS c
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = 'dbre' AND c.relname = 'heartbeat') AS has_heartbeat;

-- name: session_reader
-- facet: session
-- versions: >=15
-- privilege: CONNECT
-- A superuser becomes one who may only read. A function that somebody else wrote could still take that back.
SELECT pg_catalog.set_config('role', 'pg_read_all_data', false) AS role,
       -- Policies that hide rows would look like lost rows: an error is better.
       pg_catalog.set_config('row_security', 'off', false) AS row_security
 WHERE pg_catalog.pg_has_role(session_user, 'pg_read_all_data', 'MEMBER');
