-- Timers of the server for our own sessions, and who the server is.

-- name: session_limits
-- facet: session
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
-- parameters: statement_seconds double, row_lock_seconds integer, metadata_lock_seconds integer
-- The last three make our sessions independent of the server's defaults: times, and how SHOW GRANTS quotes names.
SET SESSION max_statement_time = ?,
    SESSION innodb_lock_wait_timeout = ?,
    SESSION lock_wait_timeout = ?,
    SESSION time_zone = 'SYSTEM',
    SESSION sql_mode = 'STRICT_TRANS_TABLES',
    SESSION sql_quote_show_create = 1;

-- name: session_limits
-- facet: session
-- products: mysql
-- versions: >=8.0
-- privilege: USAGE
-- parameters: statement_milliseconds integer, row_lock_seconds integer, metadata_lock_seconds integer
-- See above.
SET SESSION max_execution_time = ?,
    SESSION innodb_lock_wait_timeout = ?,
    SESSION lock_wait_timeout = ?,
    SESSION time_zone = 'SYSTEM',
    SESSION sql_mode = 'STRICT_TRANS_TABLES',
    SESSION sql_quote_show_create = 1;

-- name: read_only_session
-- facet: session
-- versions: *
-- privilege: USAGE
SET SESSION TRANSACTION READ ONLY;

-- name: identify
-- facet: session
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
-- The number of running appliers needs no privilege, unlike SHOW REPLICA STATUS, and does not wait for a replica that stops.
-- Slave_running would turn OFF on a replica whose primary is gone; Slaves_running counts appliers and does not.
SELECT VERSION() AS version_text,
       CURRENT_USER() AS login,
       @@GLOBAL.read_only AS is_read_only,
       UNIX_TIMESTAMP() AS unix_time,
       UTC_TIMESTAMP(6) AS measured_at,
       MAX(CASE s.VARIABLE_NAME WHEN 'UPTIME' THEN s.VARIABLE_VALUE END) AS uptime_seconds,
       MAX(CASE s.VARIABLE_NAME WHEN 'SLAVES_RUNNING' THEN s.VARIABLE_VALUE END) AS appliers,
       MAX(CASE s.VARIABLE_NAME WHEN 'WSREP_CLUSTER_STATE_UUID' THEN s.VARIABLE_VALUE END) AS system_id
  FROM information_schema.GLOBAL_STATUS AS s
 WHERE s.VARIABLE_NAME IN ('UPTIME', 'SLAVES_RUNNING', 'WSREP_CLUSTER_STATE_UUID');

-- name: identify
-- facet: session
-- products: mysql
-- versions: >=8.0
-- privilege: SELECT ON performance_schema
SELECT VERSION() AS version_text,
       CURRENT_USER() AS login,
       @@GLOBAL.read_only OR @@GLOBAL.super_read_only AS is_read_only,
       UNIX_TIMESTAMP() AS unix_time,
       UTC_TIMESTAMP(6) AS measured_at,
       (SELECT s.VARIABLE_VALUE FROM performance_schema.global_status AS s WHERE s.VARIABLE_NAME = 'Uptime') AS uptime_seconds,
       (SELECT COUNT(*)
          FROM performance_schema.replication_applier_status AS a
         WHERE a.SERVICE_STATE = 'ON' AND a.CHANNEL_NAME NOT LIKE 'group_replication%') AS appliers,
       (SELECT v.VARIABLE_VALUE
          FROM performance_schema.global_variables AS v
         WHERE v.VARIABLE_NAME = 'group_replication_group_name') AS system_id;

-- name: grants
-- facet: session
-- versions: *
-- privilege: USAGE
SHOW GRANTS;

-- name: heartbeat_there
-- facet: session
-- versions: *
-- privilege: USAGE
SELECT COUNT(*) AS tables
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = 'dbre' AND t.TABLE_NAME = 'heartbeat';
