-- What sessions are doing now. Threads of the server itself and of replication are not sessions; nor are our own, given by number.

-- name: sessions_by_state
-- facet: activity
-- versions: *
-- privilege: PROCESS
-- parameters: own text
SELECT p.COMMAND AS state, COUNT(*) AS sessions
  FROM information_schema.PROCESSLIST AS p
 WHERE FIND_IN_SET(p.ID, ?) = 0
   AND p.USER NOT IN ('system user', 'event_scheduler')
   AND p.COMMAND NOT LIKE 'Binlog Dump%'
 GROUP BY p.COMMAND;

-- name: activity_summary
-- facet: activity
-- versions: *
-- privilege: PROCESS
-- parameters: own text
SELECT @@GLOBAL.max_connections AS max_sessions,
       UTC_TIMESTAMP(6) AS measured_at,
       (SELECT COUNT(*)
          FROM information_schema.PROCESSLIST AS p
          LEFT JOIN information_schema.INNODB_TRX AS t ON t.trx_mysql_thread_id = p.ID
         WHERE t.trx_state = 'LOCK WAIT' OR p.STATE LIKE 'Waiting for %lock') AS blocked_sessions,
       (SELECT MAX(TIMESTAMPDIFF(SECOND, t.trx_started, NOW()))
          FROM information_schema.INNODB_TRX AS t
         WHERE t.trx_mysql_thread_id <> 0 AND FIND_IN_SET(t.trx_mysql_thread_id, ?) = 0) AS longest_transaction_seconds;

-- name: sessions
-- facet: activity
-- products: mariadb
-- versions: >=10.5
-- privilege: PROCESS
-- parameters: own text, limit integer
SELECT p.ID AS session_id,
       p.USER AS login,
       p.DB AS database_name,
       p.HOST AS client_address,
       p.COMMAND AS command,
       p.STATE AS state,
       p.TIME_MS / 1000 AS state_seconds,
       TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS transaction_seconds,
       (SELECT GROUP_CONCAT(DISTINCT b.trx_mysql_thread_id ORDER BY b.trx_mysql_thread_id)
          FROM information_schema.INNODB_LOCK_WAITS AS w
          JOIN information_schema.INNODB_TRX AS b ON b.trx_id = w.blocking_trx_id
         WHERE w.requesting_trx_id = t.trx_id) AS blocked_by,
       LEFT(p.INFO, 10000) AS query_text
  FROM information_schema.PROCESSLIST AS p
  LEFT JOIN information_schema.INNODB_TRX AS t ON t.trx_mysql_thread_id = p.ID
 WHERE FIND_IN_SET(p.ID, ?) = 0
   AND p.USER NOT IN ('system user', 'event_scheduler')
   AND p.COMMAND NOT LIKE 'Binlog Dump%'
 ORDER BY p.COMMAND = 'Sleep' AND t.trx_id IS NULL, COALESCE(t.trx_started, NOW()), p.TIME_MS DESC, p.ID
 LIMIT ?;

-- name: sessions
-- facet: activity
-- products: mysql
-- versions: >=8.0
-- privilege: PROCESS
-- parameters: own text, limit integer
SELECT p.ID AS session_id,
       p.USER AS login,
       p.DB AS database_name,
       p.HOST AS client_address,
       p.COMMAND AS command,
       p.STATE AS state,
       p.TIME AS state_seconds,
       TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS transaction_seconds,
       NULL AS blocked_by,
       LEFT(p.INFO, 10000) AS query_text
  FROM information_schema.PROCESSLIST AS p
  LEFT JOIN information_schema.INNODB_TRX AS t ON t.trx_mysql_thread_id = p.ID
 WHERE FIND_IN_SET(p.ID, ?) = 0
   AND p.USER NOT IN ('system user', 'event_scheduler')
   AND p.COMMAND NOT LIKE 'Binlog Dump%'
 ORDER BY p.COMMAND = 'Sleep' AND t.trx_id IS NULL, COALESCE(t.trx_started, NOW()), p.TIME DESC, p.ID
 LIMIT ?;
