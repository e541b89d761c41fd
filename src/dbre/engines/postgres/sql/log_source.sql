-- What the server keeps of its log for one receiver.

-- name: log_backlog
-- facet: backup
-- versions: >=15
-- privilege: pg_monitor
-- parameters: slot text
SELECT now.lsn::text AS position,
       (now.lsn - '0/0'::pg_lsn)::bigint AS value,
       now.timeline,
       -- The position moves without any transaction, too: on an idle server each switch makes another record due.
       CASE WHEN NOT pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_current_snapshot()::text
        END AS change_mark,
       s.slot_name IS NOT NULL AS has_slot,
       s.wal_status,
       s.restart_lsn::text AS kept_from,
       (s.restart_lsn - '0/0'::pg_lsn)::bigint AS kept_from_value,
       s.safe_wal_size AS safe_bytes,
       COALESCE(s.active, false) AS is_active,
       r.application_name AS receiver,
       pg_catalog.host(r.client_addr) AS receiver_address,
       r.flush_lsn::text AS flushed,
       (r.flush_lsn - '0/0'::pg_lsn)::bigint AS flushed_value,
       a.last_archived_wal AS archived,
       CASE WHEN a.last_failed_time > COALESCE(a.last_archived_time, '-infinity')
            THEN a.last_failed_wal
        END AS archive_failed
  FROM (SELECT i.lsn,
               CASE WHEN i.is_in_recovery
                    THEN (SELECT w.received_tli FROM pg_catalog.pg_stat_wal_receiver AS w)::bigint
                    ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(i.lsn), 1, 8))::bit(32)::bigint
                END AS timeline
          FROM (SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
                       CASE WHEN pg_catalog.pg_is_in_recovery()
                            THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                            ELSE pg_catalog.pg_current_wal_flush_lsn()
                        END AS lsn) AS i) AS now
 CROSS JOIN pg_catalog.pg_stat_archiver AS a
  LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.slot_name = $1::text
  LEFT JOIN pg_catalog.pg_stat_replication AS r ON r.pid = s.active_pid;

-- name: log_release
-- facet: backup
-- versions: >=15
-- privilege: REPLICATION
-- parameters: slot text
SELECT pg_catalog.pg_drop_replication_slot($1::text::name) IS NOT NULL AS is_done;

-- name: log_end_file
-- facet: backup
-- versions: >=15
-- privilege: EXECUTE ON pg_switch_wal
SELECT w.lsn::text AS position,
       (w.lsn - '0/0'::pg_lsn)::bigint AS value,
       ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(w.lsn), 1, 8))::bit(32)::bigint AS timeline
  FROM (SELECT pg_catalog.pg_switch_wal() AS lsn) AS w;
