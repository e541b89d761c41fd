-- Faults on purpose, and their way back. Opt-in: nothing of it is granted for watching.

-- name: mischief_session
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
-- parameters: idle_limit text, lock_limit text
-- The server itself ends what an injector leaves behind on a machine that died.
SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', $1::text, false) AS idle_limit,
       pg_catalog.set_config('lock_timeout', $2::text, false) AS lock_limit,
       pg_catalog.set_config('statement_timeout', '0', false) AS statement_limit;

-- name: mischief_now
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.clock_timestamp() AS now_at;

-- name: mischief_begin
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
BEGIN ISOLATION LEVEL REPEATABLE READ;

-- name: mischief_rollback
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
ROLLBACK;

-- name: mischief_snapshot
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.pg_current_snapshot()::text AS snapshot;

-- name: mischief_advisory
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
-- parameters: space integer, number integer
SELECT pg_catalog.pg_advisory_xact_lock($1::integer, $2::integer)::text AS locked;

-- name: mischief_ours
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
-- parameters: tag text
-- A role sees its own sessions whole without pg_monitor.
SELECT count(*) AS sessions,
       count(*) FILTER (WHERE a.state = 'idle in transaction') AS idle,
       count(*) FILTER (WHERE a.backend_xmin IS NOT NULL) AS holding,
       count(*) FILTER (WHERE a.wait_event_type = 'Lock') AS waiting,
       COALESCE(max(pg_catalog.age(a.backend_xmin)), 0) AS oldest,
       (SELECT count(*)
          FROM pg_catalog.pg_locks AS l
          JOIN pg_catalog.pg_stat_activity AS o ON o.pid = l.pid
         WHERE o.application_name = $1::text
           AND l.locktype = 'relation' AND l.granted
           AND l.mode IN ('AccessExclusiveLock', 'ShareLock')) AS locks,
       (SELECT count(*)
          FROM pg_catalog.pg_stat_activity AS b
         WHERE b.application_name <> $1::text
           AND pg_catalog.pg_blocking_pids(b.pid) && COALESCE(pg_catalog.array_agg(a.pid), '{}')) AS blocked
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.application_name = $1::text;

-- name: mischief_end_ours
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
-- parameters: tag text
-- Whoever logs in as the same role may end them.
SELECT count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(a.pid)) AS ended
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.application_name = $1::text AND a.usename = CURRENT_USER;

-- name: mischief_deadlocks
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
SELECT COALESCE(sum(d.deadlocks), 0)::bigint AS deadlocks FROM pg_catalog.pg_stat_database AS d;

-- name: mischief_replay
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
SELECT r.is_in_recovery,
       CASE WHEN r.is_in_recovery THEN pg_catalog.pg_get_wal_replay_pause_state() END AS state,
       COALESCE(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()), 0)::bigint
         AS behind
  FROM (SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery) AS r;

-- name: mischief_pause
-- facet: mischief
-- versions: >=15
-- privilege: EXECUTE ON pg_wal_replay_pause
SELECT pg_catalog.pg_wal_replay_pause()::text AS paused;

-- name: mischief_resume
-- facet: mischief
-- versions: >=15
-- privilege: EXECUTE ON pg_wal_replay_resume
SELECT pg_catalog.pg_wal_replay_resume()::text AS resumed;

-- name: mischief_archiving
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.current_setting('archive_mode') AS mode,
       pg_catalog.current_setting('archive_library', true) AS library,
       a.archived_count, a.failed_count
  FROM pg_catalog.pg_stat_archiver AS a;

-- name: mischief_slot
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
-- parameters: slot text
SELECT s.slot_name::text AS slot_name,
       s.wal_status,
       pg_catalog.pg_wal_lsn_diff(
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
              ELSE pg_catalog.pg_current_wal_lsn() END,
         s.restart_lsn)::bigint AS kept
  FROM pg_catalog.pg_replication_slots AS s
 WHERE s.slot_name = $1::text;

-- name: mischief_slot_make
-- facet: mischief
-- versions: >=15
-- privilege: REPLICATION
-- parameters: slot text
SELECT s.lsn::text AS lsn FROM pg_catalog.pg_create_physical_replication_slot($1::text, true) AS s;

-- name: mischief_slot_advance
-- facet: mischief
-- versions: >=15
-- privilege: REPLICATION
-- parameters: slot text
SELECT a.end_lsn::text AS lsn
  FROM pg_catalog.pg_replication_slot_advance(
         $1::text,
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
              ELSE pg_catalog.pg_current_wal_flush_lsn() END) AS a;

-- name: mischief_slot_drop
-- facet: mischief
-- versions: >=15
-- privilege: REPLICATION
-- parameters: slot text
SELECT pg_catalog.pg_drop_replication_slot($1::text)::text AS dropped;

-- name: mischief_clients
-- facet: mischief
-- versions: >=15
-- privilege: pg_monitor
-- parameters: user text, application text, database text, most integer
-- Everybody's sessions but ours and those that belong to replication; the one that came last first.
SELECT a.pid
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.backend_type = 'client backend'
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.application_name NOT LIKE 'dbre%'
   AND ($1::text = '' OR a.usename = $1::text)
   AND ($2::text = '' OR a.application_name = $2::text)
   AND ($3::text = '' OR a.datname = $3::text)
 ORDER BY a.backend_start DESC
 LIMIT $4::integer;

-- name: mischief_end_session
-- facet: mischief
-- versions: >=15
-- privilege: CONNECT
-- parameters: pid integer
-- The server decides whose sessions our role may end: its own, and those of others with pg_signal_backend.
SELECT pg_catalog.pg_terminate_backend($1::integer) AS is_ended;
