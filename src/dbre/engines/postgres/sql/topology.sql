-- What a server says of itself and of its neighbours. Positions are bytes from the beginning of the log.

-- name: topology_node
-- facet: topology
-- versions: >=15
-- privilege: pg_monitor
-- The text of primary_conninfo may hold a password: it is asked only whether there is one.
SELECT here.is_in_recovery,
       here.position::text AS position_text,
       pg_catalog.pg_wal_lsn_diff(here.position, '0/0')::bigint AS position_offset,
       pg_catalog.pg_wal_lsn_diff(here.received, '0/0')::bigint AS received_offset,
       here.received::text AS received_text,
       CASE WHEN NOT here.is_in_recovery
            THEN ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(here.position), 8))::bit(32)::integer
        END AS written_timeline,
       CASE WHEN here.is_in_recovery
            THEN pg_catalog.pg_get_wal_replay_pause_state() <> 'not paused'
        END AS is_replay_paused,
       pg_catalog.current_setting('primary_conninfo') <> '' AS has_upstream_configured,
       settings.min_apply_delay_seconds,
       settings.is_read_only_by_default,
       pg_catalog.current_setting('synchronous_standby_names') AS synchronous_names,
       pg_catalog.current_setting('synchronous_commit') AS synchronous_commit,
       EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time())::text AS started,
       pg_catalog.current_setting('port') AS port,
       w.pid IS NOT NULL AND w.status = 'streaming' AS is_receiving,
       w.sender_host AS upstream_host,
       w.sender_port AS upstream_port,
       w.slot_name::text AS upstream_slot,
       w.received_tli AS received_timeline,
       -- A receiver that has just connected shows all that it goes by, also from a service file; one that went on to another
       -- timeline shows primary_conninfo again, and what that leaves out is not known. Passwords are struck out.
       CASE WHEN w.conninfo ~ '(^| )tcp_user_timeout=[0-9]+'
            THEN (pg_catalog.regexp_match(w.conninfo, '(?:^| )tcp_user_timeout=([0-9]+)'))[1]::bigint
            WHEN w.conninfo ~ '(^| )fallback_application_name='
            THEN 0
        END AS upstream_user_timeout_ms,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - w.last_msg_receipt_time)::double precision AS last_message_seconds,
       -- Shown with its unit, as intervals are written.
       EXTRACT(epoch FROM pg_catalog.current_setting('wal_receiver_timeout')::interval)::double precision AS gives_up_seconds,
       -- Most nodes feed nobody: the questions below are asked of those that do.
       EXISTS (SELECT FROM pg_catalog.pg_stat_get_wal_senders()) AS has_downstreams,
       EXISTS (SELECT FROM pg_catalog.pg_get_replication_slots()) AS has_slots,
       EXISTS (SELECT FROM pg_catalog.pg_subscription) AS has_subscriptions,
       pg_catalog.clock_timestamp() AS measured_at
  FROM (SELECT pg_catalog.pg_is_in_recovery() AS is_in_recovery,
               CASE WHEN pg_catalog.pg_is_in_recovery()
                    THEN pg_catalog.pg_last_wal_replay_lsn()
                    ELSE pg_catalog.pg_current_wal_lsn()
                END AS position,
               pg_catalog.pg_last_wal_receive_lsn() AS received) AS here
  LEFT JOIN pg_catalog.pg_stat_wal_receiver AS w ON true
 CROSS JOIN (SELECT pg_catalog.max(p.setting) FILTER (WHERE p.name = 'recovery_min_apply_delay')::double precision / 1000
                      AS min_apply_delay_seconds,
                    -- What our session has set for itself does not count; a change in the server's file does, also in a
                    -- session that was there before.
                    pg_catalog.bool_or(p.reset_val = 'on') FILTER (WHERE p.name = 'default_transaction_read_only')
                      AS is_read_only_by_default
               FROM pg_catalog.pg_settings AS p
              WHERE p.name IN ('recovery_min_apply_delay', 'default_transaction_read_only')) AS settings;

-- name: topology_control
-- facet: topology
-- versions: >=15
-- privilege: EXECUTE ON pg_control_system
-- A replica's last checkpoint may be older than the timeline that it follows; what it must reach is not.
SELECT s.system_identifier::text AS system_id,
       GREATEST(c.timeline_id, r.min_recovery_end_timeline) AS timeline
  FROM pg_catalog.pg_control_system() AS s
 CROSS JOIN pg_catalog.pg_control_checkpoint() AS c
 CROSS JOIN pg_catalog.pg_control_recovery() AS r;

-- name: topology_downstreams
-- facet: topology
-- versions: >=15
-- privilege: pg_monitor
SELECT COALESCE(NULLIF(r.application_name, ''), s.slot_name::text, pg_catalog.host(r.client_addr), r.pid::text) AS link_name,
       pg_catalog.host(r.client_addr) AS client_address,
       r.state,
       r.sync_state,
       COALESCE(s.slot_type = 'logical', false) AS is_logical,
       s.database::text AS database,
       r.sent_lsn::text AS sent_text,
       pg_catalog.pg_wal_lsn_diff(r.sent_lsn, '0/0')::bigint AS sent_offset,
       r.write_lsn::text AS written_text,
       pg_catalog.pg_wal_lsn_diff(r.write_lsn, '0/0')::bigint AS written_offset,
       r.flush_lsn::text AS flushed_text,
       pg_catalog.pg_wal_lsn_diff(r.flush_lsn, '0/0')::bigint AS flushed_offset,
       r.replay_lsn::text AS replayed_text,
       pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::bigint AS replayed_offset
  FROM pg_catalog.pg_stat_replication AS r
  LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.active_pid = r.pid
 WHERE r.state <> 'backup'
 ORDER BY link_name, r.pid
 LIMIT 500;

-- name: topology_slots
-- facet: topology
-- versions: 15-16
-- privilege: pg_monitor
SELECT s.slot_name::text AS slot_name,
       s.slot_type = 'physical' AS is_physical,
       s.active,
       pg_catalog.pg_wal_lsn_diff(
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,
         s.restart_lsn)::bigint AS retained_bytes,
       s.wal_status,
       NULL::timestamp with time zone AS inactive_since,
       false AS is_synced
  FROM pg_catalog.pg_replication_slots AS s
 WHERE NOT s.temporary
 ORDER BY s.slot_name
 LIMIT 500;

-- name: topology_slots
-- facet: topology
-- versions: >=17
-- privilege: pg_monitor
SELECT s.slot_name::text AS slot_name,
       s.slot_type = 'physical' AS is_physical,
       s.active,
       pg_catalog.pg_wal_lsn_diff(
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,
         s.restart_lsn)::bigint AS retained_bytes,
       s.wal_status,
       s.inactive_since,
       s.synced AS is_synced
  FROM pg_catalog.pg_replication_slots AS s
 WHERE NOT s.temporary
 ORDER BY s.slot_name
 LIMIT 500;

-- name: topology_subscriptions
-- facet: topology
-- versions: >=15
-- privilege: pg_monitor
SELECT s.subname::text AS name,
       d.datname::text AS database,
       s.pid IS NOT NULL AS is_active,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - s.last_msg_receipt_time)::double precision AS last_message_seconds
  FROM pg_catalog.pg_stat_subscription AS s
  LEFT JOIN pg_catalog.pg_subscription AS u ON u.oid = s.subid
  LEFT JOIN pg_catalog.pg_database AS d ON d.oid = u.subdbid
 WHERE s.relid IS NULL
 ORDER BY s.subname
 LIMIT 500;

-- name: topology_heartbeat
-- facet: topology
-- versions: >=15
-- privilege: SELECT ON dbre.heartbeat
-- parameters: id text
SELECT h.sequence, h.written_at
  FROM dbre.heartbeat AS h
 WHERE h.id = $1;
