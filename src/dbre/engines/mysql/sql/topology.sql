-- What a server says of itself; the servers that it follows and feeds come from the facet of replication.

-- name: topology_node
-- facet: topology
-- products: mariadb
-- versions: >=10.5
-- privilege: USAGE
SELECT CONCAT('server-id ', @@GLOBAL.server_id) AS node_id,
       @@GLOBAL.server_id AS writer,
       @@GLOBAL.gtid_binlog_state AS logged,
       CONCAT_WS('/', @@hostname, @@port, @@datadir) AS process_id,
       @@GLOBAL.gtid_binlog_pos AS written,
       @@GLOBAL.gtid_slave_pos AS applied,
       1 AS has_gtids,
       @@GLOBAL.log_bin AS keeps_log,
       @@GLOBAL.wsrep_on AS is_multi_primary,
       @@GLOBAL.read_only AS is_read_only;

-- name: topology_node
-- facet: topology
-- products: mysql
-- versions: >=8.0.22
-- privilege: USAGE
SELECT @@server_uuid AS node_id,
       @@server_uuid AS writer,
       @@GLOBAL.gtid_executed AS logged,
       CONCAT_WS('/', @@server_uuid, @@hostname, @@port) AS process_id,
       @@GLOBAL.gtid_executed AS written,
       @@GLOBAL.gtid_executed AS applied,
       @@GLOBAL.gtid_mode IN ('ON', 'ON_PERMISSIVE') AS has_gtids,
       1 AS keeps_log,
       0 AS is_multi_primary,
       @@GLOBAL.read_only OR @@GLOBAL.super_read_only AS is_read_only;

-- name: topology_heartbeat
-- facet: topology
-- versions: *
-- privilege: SELECT ON dbre.heartbeat
-- parameters: id text
SELECT h.sequence, h.written_at
  FROM dbre.heartbeat AS h
 WHERE h.id = ?;
