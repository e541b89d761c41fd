-- Threads of redo: with RAC, recovery needs the redo of every enabled one.
-- privilege: SYSBACKUP (or SELECT on V_$THREAD)
-- Source: Oracle Database Reference 19c, V$THREAD.
SELECT TO_CHAR(t.thread#) AS thread,
       t.status AS status
  FROM v$thread t
 WHERE t.enabled <> 'DISABLED'
 ORDER BY t.thread#;
