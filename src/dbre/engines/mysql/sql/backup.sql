-- What a server says of itself before its files are copied, and where its binary log is.

-- name: backup_source
-- facet: backup
-- products: mariadb
-- versions: >=10.6
-- privilege: USAGE
SELECT VERSION() AS version_text,
       UTC_TIMESTAMP(6) AS measured_at,
       @@GLOBAL.server_id AS server_id,
       @@GLOBAL.server_uid AS server_uid,
       @@GLOBAL.datadir AS datadir,
       @@GLOBAL.log_bin AS log_bin,
       @@GLOBAL.log_bin_basename AS log_bin_basename,
       @@GLOBAL.binlog_checksum AS binlog_checksum,
       @@GLOBAL.binlog_format AS binlog_format,
       @@GLOBAL.binlog_expire_logs_seconds AS binlog_expire_logs_seconds,
       @@GLOBAL.sync_binlog AS sync_binlog,
       @@GLOBAL.innodb_flush_log_at_trx_commit AS innodb_flush_log_at_trx_commit,
       @@GLOBAL.innodb_checksum_algorithm AS innodb_checksum_algorithm,
       @@GLOBAL.log_slave_updates AS log_slave_updates,
       @@GLOBAL.lower_case_table_names AS lower_case_table_names,
       @@GLOBAL.character_set_server AS character_set_server,
       @@GLOBAL.collation_server AS collation_server,
       (SELECT s.VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS AS s WHERE s.VARIABLE_NAME = 'SLAVES_RUNNING') AS appliers;

-- name: backup_clock
-- facet: backup
-- versions: *
-- privilege: USAGE
SELECT UTC_TIMESTAMP(6) AS measured_at;

-- name: backup_plugins
-- facet: backup
-- versions: *
-- privilege: USAGE
-- Libraries that a restored server needs: those that an administrator installed.
SELECT p.PLUGIN_NAME AS name, p.PLUGIN_LIBRARY AS library
  FROM information_schema.PLUGINS AS p
 WHERE p.PLUGIN_LIBRARY IS NOT NULL AND p.PLUGIN_STATUS = 'ACTIVE'
 ORDER BY p.PLUGIN_NAME;

-- name: backup_position
-- facet: backup
-- products: mariadb
-- versions: >=10.6
-- privilege: BINLOG MONITOR
SHOW BINLOG STATUS;

-- name: backup_logs
-- facet: backup
-- products: mariadb
-- versions: >=10.6
-- privilege: BINLOG MONITOR
SHOW BINARY LOGS;

-- name: backup_hold
-- facet: backup
-- versions: *
-- privilege: SUPER
-- Sent only to servers that were started from a copy.
SET GLOBAL read_only = 1;

-- name: backup_release
-- facet: backup
-- versions: *
-- privilege: SUPER
-- Sent only to servers that were started from a copy.
SET GLOBAL read_only = 0;

-- name: backup_probe_begin
-- facet: backup
-- versions: *
-- privilege: CREATE ON *.*
-- Sent only to servers that were started from a copy. An error where the database is there: it would be somebody else's.
CREATE DATABASE dbre_write_probe;

-- name: backup_probe_table
-- facet: backup
-- versions: *
-- privilege: CREATE ON *.*
CREATE TABLE dbre_write_probe.probe (id int PRIMARY KEY) ENGINE = InnoDB;

-- name: backup_probe_write
-- facet: backup
-- versions: *
-- privilege: CREATE ON *.*
INSERT INTO dbre_write_probe.probe (id) VALUES (1);

-- name: backup_probe_end
-- facet: backup
-- versions: *
-- privilege: CREATE ON *.*
DROP DATABASE dbre_write_probe;

-- name: backup_leave
-- facet: backup
-- versions: *
-- privilege: CREATE USER ON *.*
-- Sent only to servers that were started from a copy: the login that we made there goes.
DROP USER IF EXISTS dbre_recovery@localhost;

-- name: backup_log_mark
-- facet: backup
-- products: mariadb
-- versions: >=10.6
-- privilege: USAGE
-- MAX_BINLOG_TOTAL_SIZE is there from 11.4 on.
SELECT @@GLOBAL.gtid_binlog_pos AS change_mark,
       @@GLOBAL.log_bin_basename AS log_bin_basename,
       @@GLOBAL.max_binlog_size AS max_binlog_size,
       (SELECT v.VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES AS v
         WHERE v.VARIABLE_NAME = 'MAX_BINLOG_TOTAL_SIZE') AS largest_total;

-- name: backup_end_file
-- facet: backup
-- products: mariadb
-- versions: >=10.6
-- privilege: RELOAD
FLUSH BINARY LOGS;
