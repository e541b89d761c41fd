-- What copies, their log and recovery ask of a server.

-- name: backup_source
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.current_setting('server_version') AS version_text,
       pg_catalog.pg_is_in_recovery() AS is_replica,
       pg_catalog.clock_timestamp() AS server_time,
       pg_catalog.current_setting('data_checksums') = 'on' AS has_checksums,
       pg_catalog.current_setting('wal_segment_size') AS segment_size,
       (SELECT b.setting::bigint FROM pg_catalog.pg_settings AS b WHERE b.name = 'wal_segment_size') AS segment_bytes,
       r.rolsuper OR r.rolreplication AS may_replicate,
       r.rolname::text AS login
  FROM pg_catalog.pg_roles AS r
 WHERE r.rolname = current_user;

-- name: backup_control
-- facet: backup
-- versions: >=15
-- privilege: EXECUTE ON pg_control_system
SELECT s.system_identifier::text AS system_id,
       c.timeline_id AS timeline,
       c.full_page_writes AS has_whole_pages,
       r.min_recovery_end_timeline AS recovery_timeline
  FROM pg_catalog.pg_control_system() AS s
 CROSS JOIN pg_catalog.pg_control_checkpoint() AS c
 CROSS JOIN pg_catalog.pg_control_recovery() AS r;

-- name: backup_position
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
            ELSE pg_catalog.pg_current_wal_flush_lsn()
        END::text AS position,
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN NULL
            -- The name of a segment begins with the timeline on which the server writes now.
            ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 1, 8)
        END AS timeline_name,
       pg_catalog.clock_timestamp() AS server_time;

-- name: backup_horizon
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.pg_snapshot_xmax(s.seen)::text::bigint AS next_transaction,
       pg_catalog.pg_snapshot_xmin(s.seen) = pg_catalog.pg_snapshot_xmax(s.seen) AS is_quiet
  FROM pg_catalog.pg_current_snapshot() AS s(seen);

-- name: backup_settings
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT s.name, s.setting, s.unit
  FROM pg_catalog.pg_settings AS s
 WHERE s.name IN ('archive_mode', 'archive_timeout', 'data_checksums', 'fsync', 'full_page_writes', 'max_slot_wal_keep_size',
                  'max_wal_senders', 'max_replication_slots', 'shared_preload_libraries', 'summarize_wal', 'synchronous_commit',
                  'synchronous_standby_names', 'track_commit_timestamp', 'wal_keep_size', 'wal_level', 'wal_segment_size',
                  'wal_summary_keep_time')
 ORDER BY s.name;

-- name: backup_contents
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT (SELECT pg_catalog.array_agg(e.extname::text || ' ' || e.extversion ORDER BY e.extname)
          FROM pg_catalog.pg_extension AS e) AS extensions,
       (SELECT pg_catalog.count(*)
          FROM pg_catalog.pg_class AS c
         WHERE c.relpersistence = 'u' AND c.relkind = 'r') AS unlogged_tables,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication) AS senders,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots) AS slots,
       (SELECT a.archived_count FROM pg_catalog.pg_stat_archiver AS a) AS archived,
       (SELECT a.failed_count FROM pg_catalog.pg_stat_archiver AS a
         WHERE a.last_failed_time > COALESCE(a.last_archived_time, '-infinity')) AS failing,
       (SELECT pg_catalog.sum(pg_catalog.pg_database_size(d.oid))::bigint
          FROM pg_catalog.pg_database AS d
         WHERE pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
            OR pg_catalog.has_database_privilege(d.oid, 'CONNECT')) AS data_bytes,
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sizes,
       pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE') AS may_read_rules;

-- name: backup_login_rules
-- facet: backup
-- versions: >=15
-- privilege: SELECT ON pg_hba_file_rules
-- What the file says now; the server goes by what it said at the last reload. Words with a slash are patterns.
SELECT pg_catalog.count(*) AS allowing
  FROM pg_catalog.pg_hba_file_rules AS h
 WHERE 'replication' = ANY (h.database)
   AND h.auth_method <> 'reject'
   AND EXISTS (SELECT
                 FROM pg_catalog.unnest(h.user_name) AS u(word)
                WHERE u.word IN ('all', current_user)
                   OR pg_catalog.starts_with(u.word, '/')
                   OR pg_catalog.starts_with(u.word, '+')
                      AND EXISTS (SELECT
                                    FROM pg_catalog.pg_roles AS r
                                   WHERE r.rolname = pg_catalog.substr(u.word, 2)
                                     AND pg_catalog.pg_has_role(r.oid, 'MEMBER')));

-- name: backup_summaries
-- facet: backup
-- versions: >=17
-- privilege: CONNECT
-- Where the newest summaries begin that follow each other without a hole.
SELECT max(s.start_lsn) FILTER (WHERE s.reached IS NULL OR s.reached < s.start_lsn)::text AS begins
  FROM (SELECT w.start_lsn,
               max(w.end_lsn) OVER (ORDER BY w.start_lsn, w.end_lsn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
          FROM pg_catalog.pg_available_wal_summaries() AS w) AS s;

-- name: backup_tablespaces
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT t.oid::text AS id, t.spcname::text AS name, pg_catalog.pg_tablespace_location(t.oid) AS location
  FROM pg_catalog.pg_tablespace AS t
 WHERE t.spcname NOT IN ('pg_default', 'pg_global')
 ORDER BY t.oid;

-- name: backup_make_slot
-- facet: backup
-- versions: >=15
-- privilege: REPLICATION
-- parameters: slot_name text
SELECT s.slot_name::text AS slot_name
  FROM pg_catalog.pg_create_physical_replication_slot($1::text::name, true) AS s;

-- name: backup_slot
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: slot_name text
SELECT s.slot_type = 'physical' AS is_physical,
       s.active AS is_active,
       s.restart_lsn::text AS restart_lsn,
       s.wal_status,
       s.safe_wal_size
  FROM pg_catalog.pg_replication_slots AS s
 WHERE s.slot_name = $1::text;

-- name: recovery_state
-- facet: backup
-- versions: >=13
-- privilege: CONNECT
SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() END AS is_paused,
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_lsn()
        END::text AS position,
       pg_catalog.pg_last_xact_replay_timestamp() AS last_commit_at;

-- name: recovery_promote
-- facet: backup
-- versions: >=13
-- privilege: EXECUTE ON pg_promote
SELECT pg_catalog.pg_promote(false) AS is_asked;

-- name: recovery_write
-- facet: backup
-- versions: >=13
-- privilege: CONNECT
-- A commit of its own, without touching anybody's table.
SELECT pg_catalog.pg_logical_emit_message(true, 'dbre', 'write probe')::text AS position;

-- name: backup_receiver
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- parameters: application_name text
-- Without pg_monitor a role sees its own sessions only, which ours is.
SELECT max(r.flush_lsn)::text AS flushed
  FROM pg_catalog.pg_stat_replication AS r
 WHERE r.application_name = $1::text;
