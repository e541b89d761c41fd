-- Cumulative counters and gauges, in the names of postgres_exporter. Each statement is one row, or has a LIMIT.

-- name: statistics_server
-- facet: statistics
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.current_setting('server_version') AS version,
       1 AS one,
       EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time())::double precision AS started_at,
       pg_catalog.current_setting('max_connections')::integer AS max_connections,
       pg_catalog.pg_is_in_recovery()::integer AS is_replica;

-- name: statistics_database
-- facet: statistics
-- versions: >=15
-- privilege: CONNECT
SELECT d.datid::text AS datid,
       d.datname::text AS datname,
       d.numbackends, d.xact_commit, d.xact_rollback, d.blks_read, d.blks_hit, d.tup_returned, d.tup_fetched,
       d.tup_inserted, d.tup_updated, d.tup_deleted, d.conflicts, d.temp_files, d.temp_bytes, d.deadlocks,
       d.checksum_failures, d.blk_read_time, d.blk_write_time,
       d.session_time / 1000 AS session_time,
       d.active_time / 1000 AS active_time,
       d.idle_in_transaction_time / 1000 AS idle_in_transaction_time,
       d.sessions, d.sessions_abandoned, d.sessions_fatal, d.sessions_killed,
       EXTRACT(epoch FROM d.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_database AS d
 WHERE d.datname IS NOT NULL
 ORDER BY d.datid
 LIMIT 500;

-- name: statistics_database_size
-- facet: statistics
-- versions: >=15
-- privilege: pg_monitor
SELECT d.datname::text AS datname, pg_catalog.pg_database_size(d.oid) AS size_bytes
  FROM pg_catalog.pg_database AS d
 WHERE d.datallowconn
 ORDER BY d.oid
 LIMIT 500;

-- name: statistics_activity
-- facet: statistics
-- versions: >=15
-- privilege: pg_monitor
SELECT COALESCE(a.datname::text, '') AS datname,
       COALESCE(a.usename::text, '') AS usename,
       COALESCE(a.state, 'starting') AS state,
       COALESCE(a.wait_event_type, '') AS wait_event_type,
       pg_catalog.count(*) AS sessions,
       COALESCE(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.min(a.xact_start)), 0)::double precision
         AS longest_transaction
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.backend_type = 'client backend'
   AND a.pid <> pg_catalog.pg_backend_pid()
 GROUP BY 1, 2, 3, 4
 ORDER BY sessions DESC, 1, 2, 3, 4
 LIMIT 500;

-- name: statistics_locks
-- facet: statistics
-- versions: >=15
-- privilege: CONNECT
SELECT COALESCE(d.datname::text, '') AS datname, pg_catalog.lower(l.mode) AS mode, pg_catalog.count(*) AS locks
  FROM pg_catalog.pg_locks AS l
  LEFT JOIN pg_catalog.pg_database AS d ON d.oid = l.database
 GROUP BY 1, 2
 ORDER BY 1, 2
 LIMIT 500;

-- name: statistics_replication
-- facet: statistics
-- versions: >=15
-- privilege: pg_monitor
SELECT pg_catalog.pg_is_in_recovery()::integer AS is_replica,
       -- As postgres_exporter computes it: 0 on a primary, and on a replica that has replayed all that it received.
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 0
            WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
            ELSE GREATEST(0, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()))
        END::double precision AS lag,
       EXTRACT(epoch FROM pg_catalog.pg_last_xact_replay_timestamp())::double precision AS last_replay;

-- name: statistics_replicas
-- facet: statistics
-- versions: >=15
-- privilege: pg_monitor
SELECT COALESCE(r.application_name, '') AS application_name,
       COALESCE(pg_catalog.host(r.client_addr), '') AS client_addr,
       COALESCE(r.state, '') AS state,
       COALESCE(s.slot_name::text, '') AS slot_name,
       pg_catalog.pg_wal_lsn_diff(here.position, '0/0')::double precision AS position,
       pg_catalog.pg_wal_lsn_diff(here.position, r.replay_lsn)::double precision AS behind,
       EXTRACT(epoch FROM r.write_lag)::double precision AS write_lag,
       EXTRACT(epoch FROM r.flush_lag)::double precision AS flush_lag,
       EXTRACT(epoch FROM r.replay_lag)::double precision AS replay_lag
  FROM pg_catalog.pg_stat_replication AS r
  LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.active_pid = r.pid
 CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                         THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                         ELSE pg_catalog.pg_current_wal_lsn()
                     END AS position) AS here
 ORDER BY r.pid
 LIMIT 100;

-- name: statistics_slots
-- facet: statistics
-- versions: >=15
-- privilege: CONNECT
SELECT s.slot_name::text AS slot_name,
       s.slot_type,
       s.active::integer AS is_active,
       s.safe_wal_size
  FROM pg_catalog.pg_replication_slots AS s
 ORDER BY s.slot_name
 LIMIT 500;

-- name: statistics_wal
-- facet: statistics
-- versions: 15-17
-- privilege: CONNECT
SELECT w.wal_records, w.wal_fpi, w.wal_bytes, w.wal_buffers_full, w.wal_write, w.wal_sync,
       w.wal_write_time, w.wal_sync_time,
       EXTRACT(epoch FROM w.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_wal AS w;

-- name: statistics_wal
-- facet: statistics
-- versions: >=18
-- privilege: CONNECT
SELECT w.wal_records, w.wal_fpi, w.wal_bytes, w.wal_buffers_full,
       EXTRACT(epoch FROM w.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_wal AS w;

-- name: statistics_archiver
-- facet: statistics
-- versions: >=15
-- privilege: CONNECT
SELECT a.archived_count, a.failed_count,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.last_archived_time)::double precision AS last_archive_age,
       EXTRACT(epoch FROM a.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_archiver AS a;

-- name: statistics_bgwriter
-- facet: statistics
-- versions: 15-16
-- privilege: CONNECT
SELECT b.checkpoints_timed, b.checkpoints_req, b.checkpoint_write_time, b.checkpoint_sync_time, b.buffers_checkpoint,
       b.buffers_clean, b.maxwritten_clean, b.buffers_backend, b.buffers_backend_fsync, b.buffers_alloc,
       EXTRACT(epoch FROM b.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_bgwriter AS b;

-- name: statistics_bgwriter
-- facet: statistics
-- versions: >=17
-- privilege: CONNECT
SELECT b.buffers_clean, b.maxwritten_clean, b.buffers_alloc,
       EXTRACT(epoch FROM b.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_bgwriter AS b;

-- name: statistics_checkpointer
-- facet: statistics
-- versions: 17
-- privilege: CONNECT
SELECT c.num_timed, c.num_requested, c.restartpoints_timed, c.restartpoints_req, c.restartpoints_done,
       c.write_time, c.sync_time, c.buffers_written,
       EXTRACT(epoch FROM c.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_checkpointer AS c;

-- name: statistics_checkpointer
-- facet: statistics
-- versions: >=18
-- privilege: CONNECT
SELECT c.num_timed, c.num_requested, c.num_done, c.restartpoints_timed, c.restartpoints_req, c.restartpoints_done,
       c.write_time, c.sync_time, c.buffers_written, c.slru_written,
       EXTRACT(epoch FROM c.stats_reset)::double precision AS stats_reset
  FROM pg_catalog.pg_stat_checkpointer AS c;

-- name: statistics_settings
-- facet: statistics
-- versions: >=15
-- privilege: CONNECT
SELECT s.name, s.vartype, s.unit, s.reset_val AS value
  FROM pg_catalog.pg_settings AS s
 WHERE s.vartype IN ('bool', 'integer', 'real')
 ORDER BY s.name COLLATE "C"
 LIMIT 1000;
