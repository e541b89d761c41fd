-- What it takes that a MariaDB server gives up its place, takes another's, or follows. Opt-in: it changes who is primary.

-- name: succession_node
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
SELECT @@GLOBAL.read_only AS is_read_only,
       @@GLOBAL.gtid_binlog_pos AS written,
       @@GLOBAL.gtid_slave_pos AS applied,
       @@GLOBAL.log_bin AS has_binlog,
       @@GLOBAL.log_slave_updates AS logs_what_it_applies,
       @@version AS version_text;

-- name: succession_settings
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
SELECT v.VARIABLE_NAME AS name, v.GLOBAL_VALUE AS value
  FROM information_schema.SYSTEM_VARIABLES AS v
 WHERE v.VARIABLE_NAME IN (
         'BINLOG_FORMAT', 'CHARACTER_SET_SERVER', 'COLLATION_SERVER', 'GTID_STRICT_MODE', 'INNODB_BUFFER_POOL_SIZE',
         'INNODB_FLUSH_LOG_AT_TRX_COMMIT', 'LOWER_CASE_TABLE_NAMES', 'MAX_CONNECTIONS', 'SLAVE_PARALLEL_THREADS', 'SQL_MODE',
         'SYNC_BINLOG', 'TIME_ZONE')
 ORDER BY v.VARIABLE_NAME;

-- name: succession_transactions
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: PROCESS
SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, t.trx_started, NOW())), 0) AS seconds
  FROM information_schema.INNODB_TRX AS t
  JOIN information_schema.PROCESSLIST AS p ON p.ID = t.trx_mysql_thread_id
 WHERE p.USER <> 'system user'
   AND p.ID <> CONNECTION_ID();

-- name: succession_clients
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: PROCESS
SELECT p.ID AS session_id
  FROM information_schema.PROCESSLIST AS p
 WHERE p.USER <> 'system user'
   AND p.USER <> 'event_scheduler'
   AND p.COMMAND NOT LIKE 'Binlog Dump%'
   AND p.COMMAND <> 'Daemon'
   AND p.ID <> CONNECTION_ID();

-- name: succession_close
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: READ_ONLY ADMIN
SET GLOBAL read_only = ON;

-- name: succession_open
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: READ_ONLY ADMIN
SET GLOBAL read_only = OFF;

-- name: succession_end_client
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: CONNECTION ADMIN
-- parameters: session_id bigint
KILL HARD CONNECTION ?;

-- name: succession_stop_following
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
STOP ALL SLAVES;

-- name: succession_forget_upstream
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
RESET SLAVE ALL;

-- name: succession_start_following
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
START SLAVE;

-- name: succession_count_from_own
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
-- What it wrote as a primary counts as applied from now on; the server has both, so nothing is skipped.
SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos;

-- name: succession_logged
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
SELECT @@GLOBAL.gtid_binlog_state AS logged;

-- name: succession_empty_log
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: RELOAD
-- Removes its binary logs: only where its files were replaced by a copy.
RESET MASTER;

-- name: succession_begin_from
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICATION SLAVE ADMIN
-- parameters: position text
-- How far the copy is that its files are.
SET GLOBAL gtid_slave_pos = ?;

-- name: succession_quiet
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
-- That a replica was stopped is no warning to who stopped it.
SET SESSION sql_notes = OFF;

-- name: succession_plain_quotes
-- facet: succession
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
-- In this session a backslash in a literal is a backslash, whatever the server's own mode.
SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';
