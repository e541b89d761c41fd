-- Who follows whom, and how far behind.

-- name: upstreams
-- facet: replication
-- products: mariadb
-- versions: >=10.5
-- privilege: REPLICA MONITOR
SHOW ALL SLAVES STATUS;

-- name: upstreams
-- facet: replication
-- products: mysql
-- versions: >=8.0.22
-- privilege: REPLICA MONITOR
SHOW REPLICA STATUS;

-- name: feeds
-- facet: replication
-- versions: *
-- privilege: PROCESS
-- A replica is seen by the thread that feeds it. SHOW REPLICA HOSTS would name it better, but needs REPLICATION MASTER ADMIN in
-- MariaDB, which may break replication.
SELECT p.ID AS session_id, p.USER AS login, p.HOST AS client_address, p.STATE AS state
  FROM information_schema.PROCESSLIST AS p
 WHERE p.COMMAND LIKE 'Binlog Dump%'
 ORDER BY p.ID;

-- name: semisync
-- facet: replication
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
SELECT s.VARIABLE_VALUE AS replicas
  FROM information_schema.GLOBAL_STATUS AS s
 WHERE s.VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_CLIENTS';

-- name: semisync
-- facet: replication
-- products: mysql
-- versions: >=8.0
-- privilege: USAGE
SELECT s.VARIABLE_VALUE AS replicas
  FROM performance_schema.global_status AS s
 WHERE s.VARIABLE_NAME IN ('Rpl_semi_sync_source_clients', 'Rpl_semi_sync_master_clients');
