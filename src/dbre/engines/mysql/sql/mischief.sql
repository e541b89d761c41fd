-- Faults on purpose, and their way back. Opt-in: nothing of it is granted for watching.

-- name: mischief_session
-- facet: mischief
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
-- parameters: idle_seconds integer, metadata_lock_seconds integer
-- The server itself ends what an injector leaves behind on a machine that died.
SET SESSION max_statement_time = 0,
    SESSION wait_timeout = ?,
    SESSION lock_wait_timeout = ?;

-- name: mischief_session
-- facet: mischief
-- products: mysql
-- versions: >=8.0.22
-- privilege: USAGE
-- parameters: idle_seconds integer, metadata_lock_seconds integer
SET SESSION max_execution_time = 0,
    SESSION wait_timeout = ?,
    SESSION lock_wait_timeout = ?;

-- name: mischief_take
-- facet: mischief
-- versions: *
-- privilege: USAGE
-- parameters: name text, seconds integer
-- A lock of the user's own: it names the session, and goes with it.
SELECT GET_LOCK(?, ?) AS is_taken;

-- name: mischief_leave
-- facet: mischief
-- versions: *
-- privilege: USAGE
-- parameters: name text
SELECT RELEASE_LOCK(?) AS is_left;

-- name: mischief_holder
-- facet: mischief
-- versions: *
-- privilege: USAGE
-- parameters: name text
SELECT IS_USED_LOCK(?) AS session_id;

-- name: mischief_now
-- facet: mischief
-- versions: *
-- privilege: USAGE
SELECT UTC_TIMESTAMP(6) AS now_at;

-- name: mischief_begin
-- facet: mischief
-- versions: *
-- privilege: USAGE
START TRANSACTION WITH CONSISTENT SNAPSHOT;

-- name: mischief_stop_replay
-- facet: mischief
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
STOP SLAVE SQL_THREAD;

-- name: mischief_stop_replay
-- facet: mischief
-- products: mysql
-- versions: >=8.0.22
-- privilege: REPLICATION_SLAVE_ADMIN
STOP REPLICA SQL_THREAD;

-- name: mischief_stop
-- facet: mischief
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
STOP SLAVE;

-- name: mischief_stop
-- facet: mischief
-- products: mysql
-- versions: >=8.0.22
-- privilege: REPLICATION_SLAVE_ADMIN
STOP REPLICA;

-- name: mischief_start
-- facet: mischief
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
START SLAVE;

-- name: mischief_start
-- facet: mischief
-- products: mysql
-- versions: >=8.0.22
-- privilege: REPLICATION_SLAVE_ADMIN
START REPLICA;

-- name: mischief_clients
-- facet: mischief
-- versions: *
-- privilege: PROCESS
-- parameters: user text, same_user text, base text, same_base text, most integer
-- Everybody's sessions but those of our own login, of replication and of the server itself; the one that came last first.
SELECT p.ID AS session_id
  FROM information_schema.PROCESSLIST AS p
 WHERE p.USER <> SUBSTRING_INDEX(USER(), '@', 1)
   AND p.USER NOT IN ('system user', 'event_scheduler')
   AND p.COMMAND NOT LIKE 'Binlog Dump%'
   AND p.COMMAND <> 'Daemon'
   AND (? = '' OR p.USER = ?)
   AND (? = '' OR p.DB = ?)
 ORDER BY p.ID DESC
 LIMIT ?;

-- name: mischief_certificate
-- facet: mischief
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
-- Relative names are below the data directory.
SELECT @@GLOBAL.ssl_cert AS certificate, @@GLOBAL.ssl_key AS key_file, @@GLOBAL.datadir AS directory;

-- name: mischief_read_certificate
-- facet: mischief
-- products: mariadb
-- versions: >=10.5
-- privilege: RELOAD
-- LOCAL: not for the binary log, by which replicas would do it, too.
FLUSH LOCAL SSL;
