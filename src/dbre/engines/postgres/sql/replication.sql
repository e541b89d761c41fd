-- Who follows whom, and how far behind. Without pg_monitor all but the process ids is hidden.

-- name: replication_status
-- facet: replication
-- versions: >=15
-- privilege: pg_monitor
SELECT now.is_in_recovery,
       w.pid IS NOT NULL AND w.status = 'streaming' AS is_receiving,
       w.sender_host AS upstream_host,
       w.sender_port AS upstream_port,
       pg_catalog.pg_wal_lsn_diff(now.received, now.replayed)::bigint AS replay_lag_bytes,
       -- Nothing left to replay: the age of the last transaction says only how long the primary has been idle.
       CASE WHEN now.received <> now.replayed
            THEN EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::double precision
        END AS replay_lag_seconds,
       pg_catalog.clock_timestamp() AS measured_at
  FROM (SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
               pg_catalog.pg_last_wal_receive_lsn() AS received,
               pg_catalog.pg_last_wal_replay_lsn() AS replayed) AS now
  LEFT JOIN pg_catalog.pg_stat_wal_receiver AS w ON true;

-- name: replication_links
-- facet: replication
-- versions: >=15
-- privilege: pg_monitor
SELECT COALESCE(NULLIF(r.application_name, ''), s.slot_name::text, pg_catalog.host(r.client_addr), r.pid::text) AS link_name,
       pg_catalog.host(r.client_addr) AS client_address,
       r.state,
       r.sync_state,
       GREATEST(pg_catalog.pg_wal_lsn_diff(here.position, r.flush_lsn), 0)::bigint AS flush_lag_bytes,
       GREATEST(pg_catalog.pg_wal_lsn_diff(here.position, r.replay_lsn), 0)::bigint AS replay_lag_bytes,
       EXTRACT(epoch FROM r.replay_lag)::double precision AS replay_lag_seconds
  FROM pg_catalog.pg_stat_replication AS r
  LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.active_pid = r.pid
 CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                         THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                         ELSE pg_catalog.pg_current_wal_lsn()
                     END AS position) AS here
 WHERE r.state <> 'backup'
   AND s.slot_type IS DISTINCT FROM 'logical'
 ORDER BY link_name, r.pid
 LIMIT 500;
