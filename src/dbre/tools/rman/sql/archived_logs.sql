-- Archived redo that can be restored: in backup sets whose pieces are available, and copies that are still on disk.
-- Redo that went to a standby counts for that standby, not here.
-- privilege: SYSBACKUP (or SELECT on V_$BACKUP_REDOLOG, V_$BACKUP_PIECE, V_$BACKUP_SET, V_$ARCHIVED_LOG)
-- Source: Oracle Database Reference 19c, V$BACKUP_REDOLOG, V$ARCHIVED_LOG.
SELECT TO_CHAR(r.thread#) AS thread,
       TO_CHAR(r.sequence#) AS sequence,
       TO_CHAR(r.resetlogs_change#) AS resetlogs_change,
       TO_CHAR(r.first_change#) AS first_change,
       TO_CHAR(r.next_change#) AS next_change,
       TO_CHAR(r.blocks * r.block_size) AS bytes,
       TO_CHAR(SYS_EXTRACT_UTC(FROM_TZ(CAST(s.completion_time AS TIMESTAMP), TO_CHAR(SYSTIMESTAMP, 'TZH:TZM'))),
               'YYYY-MM-DD"T"HH24:MI:SS') AS stored_at
  FROM v$backup_redolog r
  JOIN v$backup_set s
    ON s.set_stamp = r.set_stamp
   AND s.set_count = r.set_count
 WHERE s.pieces = (SELECT COUNT(DISTINCT p.piece#)
                     FROM v$backup_piece p
                    WHERE p.set_stamp = r.set_stamp
                      AND p.set_count = r.set_count
                      AND p.status = 'A')
 UNION ALL
SELECT TO_CHAR(a.thread#),
       TO_CHAR(a.sequence#),
       TO_CHAR(a.resetlogs_change#),
       TO_CHAR(a.first_change#),
       TO_CHAR(a.next_change#),
       TO_CHAR(a.blocks * a.block_size),
       TO_CHAR(SYS_EXTRACT_UTC(FROM_TZ(CAST(a.completion_time AS TIMESTAMP), TO_CHAR(SYSTIMESTAMP, 'TZH:TZM'))),
               'YYYY-MM-DD"T"HH24:MI:SS')
  FROM v$archived_log a
 WHERE a.status = 'A'
   AND a.deleted = 'NO'
   AND a.archived = 'YES'
   AND a.standby_dest = 'NO'
   AND a.name IS NOT NULL;
