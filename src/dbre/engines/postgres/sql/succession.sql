-- What it takes that a server gives up its place, takes another's, or follows. Opt-in: it changes who is primary.

-- name: succession_node
-- facet: succession
-- versions: >=15
-- privilege: pg_monitor
SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
       pg_catalog.current_setting('server_version') AS version_text,
       (SELECT COALESCE(EXTRACT(epoch FROM max(pg_catalog.clock_timestamp() - a.xact_start)), 0)::double precision
          FROM pg_catalog.pg_stat_activity AS a
         WHERE a.backend_type = 'client backend'
           AND a.pid <> pg_catalog.pg_backend_pid()) AS oldest_transaction_seconds,
       (SELECT count(*) FROM pg_catalog.pg_prepared_xacts) AS prepared_transactions,
       (SELECT GREATEST(pg_catalog.pg_wal_lsn_diff(
                 CASE WHEN pg_catalog.pg_is_in_recovery()
                      THEN pg_catalog.pg_last_wal_replay_lsn()
                      ELSE pg_catalog.pg_current_wal_lsn()
                 END, c.redo_lsn), 0)::bigint
          FROM pg_catalog.pg_control_checkpoint() AS c) AS unflushed_bytes,
       pg_catalog.current_setting('archive_mode') AS archive_mode,
       r.archived_count,
       r.failed_count,
       COALESCE(r.last_failed_time > r.last_archived_time, r.last_failed_time IS NOT NULL) AS is_archive_failing,
       r.last_failed_wal,
       (SELECT count(*) FROM pg_catalog.pg_stat_progress_basebackup) AS base_backups,
       pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean,integer)', 'EXECUTE') AS may_promote,
       pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE') AS may_reload,
       pg_catalog.has_table_privilege('pg_catalog.pg_file_settings', 'SELECT')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE') AS may_read_files,
       pg_catalog.pg_has_role('pg_checkpoint', 'USAGE') AS may_checkpoint,
       (SELECT u.rolreplication OR u.rolsuper
          FROM pg_catalog.pg_roles AS u
         WHERE u.rolname = current_user) AS may_replicate,
       pg_catalog.has_parameter_privilege('primary_conninfo', 'ALTER SYSTEM')
         AND pg_catalog.has_parameter_privilege('primary_slot_name', 'ALTER SYSTEM') AS may_redirect
  FROM pg_catalog.pg_stat_archiver AS r;

-- name: succession_settings
-- facet: succession
-- versions: >=15
-- privilege: pg_monitor
SELECT s.name, s.setting
  FROM pg_catalog.pg_settings AS s
 WHERE s.name IN (
         'archive_mode', 'checkpoint_timeout', 'data_checksums', 'default_transaction_isolation',
         'default_transaction_read_only', 'fsync', 'full_page_writes', 'hot_standby', 'max_connections',
         'max_locks_per_transaction', 'max_prepared_transactions', 'max_replication_slots', 'max_wal_senders', 'max_wal_size',
         'max_worker_processes', 'shared_buffers', 'shared_preload_libraries', 'synchronous_commit',
         'synchronous_standby_names', 'wal_level', 'wal_log_hints', 'work_mem')
 ORDER BY s.name;

-- name: succession_pending
-- facet: succession
-- versions: >=15
-- privilege: SELECT ON pg_file_settings
-- What the next start makes of settings that wait for one: the last line of a name counts, whatever a reload said of it.
SELECT DISTINCT ON (s.name) s.name, f.setting
  FROM pg_catalog.pg_settings AS s
  JOIN pg_catalog.pg_file_settings AS f ON pg_catalog.lower(f.name) = s.name
 WHERE s.pending_restart
   AND f.setting IS NOT NULL
 ORDER BY s.name, f.seqno DESC;

-- name: succession_modules
-- facet: succession
-- versions: >=15
-- privilege: CONNECT
SELECT e.extname::text AS name, v.default_version AS version
  FROM pg_catalog.pg_extension AS e
  LEFT JOIN pg_catalog.pg_available_extensions AS v ON v.name = e.extname
 ORDER BY e.extname;

-- name: succession_progress
-- facet: succession
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
       pg_catalog.pg_last_wal_replay_lsn()::text AS replayed_text,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0')::bigint AS replayed_offset,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), '0/0')::bigint AS received_offset,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_get_wal_replay_pause_state() <> 'not paused' END AS is_paused;

-- name: succession_manner
-- facet: succession
-- versions: >=15
-- privilege: pg_monitor
-- May hold a password: never shown, never stored, only handed to another server of the same cluster.
SELECT pg_catalog.current_setting('primary_conninfo') AS conninfo,
       pg_catalog.current_setting('primary_slot_name') AS slot;

-- name: succession_receiver
-- facet: succession
-- versions: >=15
-- privilege: pg_monitor
SELECT w.status, w.sender_host AS host, w.sender_port AS port
  FROM pg_catalog.pg_stat_wal_receiver AS w;

-- name: succession_promote
-- facet: succession
-- versions: >=15
-- privilege: EXECUTE ON pg_promote
-- Without waiting: the server's own wait looks ten times a second only.
SELECT pg_catalog.pg_promote(wait => false) AS is_asked;

-- name: succession_slots
-- facet: succession
-- versions: >=15
-- privilege: CONNECT
SELECT s.slot_name::text AS name, s.active AS is_active, COALESCE(s.wal_status = 'lost', false) AS is_lost
  FROM pg_catalog.pg_replication_slots AS s
 WHERE s.slot_type = 'physical';

-- name: succession_keep
-- facet: succession
-- versions: >=15
-- privilege: REPLICATION
-- parameters: slot text
SELECT s.slot_name::text AS name
  FROM pg_catalog.pg_create_physical_replication_slot($1::text::name, immediately_reserve => true) AS s;

-- name: succession_drop
-- facet: succession
-- versions: >=15
-- privilege: REPLICATION
-- parameters: slot text
SELECT pg_catalog.pg_drop_replication_slot($1::text::name) IS NOT NULL AS is_dropped;

-- name: succession_reload
-- facet: succession
-- versions: >=15
-- privilege: EXECUTE ON pg_reload_conf
SELECT pg_catalog.pg_reload_conf() AS is_reloaded;

-- name: rejoin_source
-- facet: succession
-- versions: >=15
-- privilege: pg_monitor
-- The primary as the source of a standby's files.
SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
       (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c) AS system_id,
       (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() AS c) AS checkpoint_timeline,
       pg_catalog.current_setting('server_version_num')::integer / 10000 AS major,
       pg_catalog.current_setting('full_page_writes') = 'on' AS has_full_pages,
       pg_catalog.strpos(pg_catalog.current_setting('unix_socket_directories'),
                         pg_catalog.current_setting('data_directory')) > 0 AS has_sockets_in_data,
       (SELECT count(*) FROM pg_catalog.pg_tablespace AS t
         WHERE t.spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces,
       pg_catalog.has_function_privilege('pg_catalog.pg_ls_dir(text,boolean,boolean)', 'EXECUTE')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_stat_file(text,boolean)', 'EXECUTE')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_read_binary_file(text)', 'EXECUTE')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean)', 'EXECUTE')
         AS may_read_files;
