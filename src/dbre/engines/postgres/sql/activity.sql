-- What client sessions are doing now. Without pg_monitor the states of other roles' sessions are hidden: counts would lie.

-- name: activity_summary
-- facet: activity
-- versions: >=15
-- privilege: pg_monitor
  WITH sessions AS MATERIALIZED (
       SELECT COALESCE(a.state, 'starting') AS state, a.wait_event_type, a.xact_start
         FROM pg_catalog.pg_stat_activity AS a
        WHERE a.backend_type = 'client backend'
          AND a.pid <> pg_catalog.pg_backend_pid())
SELECT (SELECT COALESCE(pg_catalog.jsonb_object_agg(by_state.state, by_state.sessions), '{}')
          FROM (SELECT s.state, pg_catalog.count(*) AS sessions
                  FROM sessions AS s
                 GROUP BY s.state) AS by_state) AS sessions_by_state,
       pg_catalog.current_setting('max_connections')::integer AS max_sessions,
       (SELECT pg_catalog.count(*) FROM sessions AS s WHERE s.wait_event_type = 'Lock') AS blocked_sessions,
       (SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.min(s.xact_start))
          FROM sessions AS s)::double precision AS longest_transaction_seconds,
       pg_catalog.clock_timestamp() AS measured_at;

-- name: activity_sessions
-- facet: activity
-- versions: >=15
-- privilege: pg_monitor
-- parameters: longest bigint
  WITH longest AS MATERIALIZED (
       SELECT a.pid, a.usename, a.datname, a.application_name, a.client_addr, a.state, a.wait_event_type, a.wait_event,
              a.xact_start, a.query_start, a.query
         FROM pg_catalog.pg_stat_activity AS a
        WHERE a.backend_type = 'client backend'
          AND a.pid <> pg_catalog.pg_backend_pid()
        ORDER BY a.xact_start NULLS LAST, (a.state = 'active') DESC, a.query_start, a.pid
        LIMIT $1)
SELECT l.pid,
       l.usename::text AS user_name,
       l.datname::text AS database_name,
       l.application_name,
       pg_catalog.host(l.client_addr) AS client_address,
       COALESCE(l.state, 'starting') AS state,
       l.wait_event_type || ':' || l.wait_event AS wait_event,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - l.xact_start)::double precision AS transaction_seconds,
       CASE WHEN l.state = 'active'
            THEN EXTRACT(epoch FROM pg_catalog.clock_timestamp() - l.query_start)::double precision
        END AS query_seconds,
       -- Only for those that wait: the function takes the lock manager's locks, all of them.
       CASE WHEN l.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(l.pid) ELSE '{}' END AS blocked_by,
       l.query AS query_text
  FROM longest AS l
 ORDER BY l.xact_start NULLS LAST, (l.state = 'active') DESC, l.query_start, l.pid;
