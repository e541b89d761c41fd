-- One row for each data file in each backup set, with the session of RMAN that made it. File 0 is the control file.
-- DATE columns are in the time of the database's machine: they become UTC with the offset of now.
-- privilege: SYSBACKUP (or SELECT on V_$BACKUP_DATAFILE, V_$BACKUP_SET_DETAILS, V_$BACKUP_PIECE)
-- Source: Oracle Database Reference 19c, V$BACKUP_DATAFILE, V$BACKUP_SET_DETAILS, V$BACKUP_PIECE.
SELECT TO_CHAR(s.session_recid) AS session_recid,
       TO_CHAR(s.session_stamp) AS session_stamp,
       TO_CHAR(s.bs_key) AS bs_key,
       TO_CHAR(b.file#) AS file_number,
       TO_CHAR(b.incremental_level) AS incremental_level,
       TO_CHAR(b.incremental_change#) AS incremental_change,
       TO_CHAR(b.resetlogs_change#) AS resetlogs_change,
       TO_CHAR(b.checkpoint_change#) AS checkpoint_change,
       TO_CHAR(b.absolute_fuzzy_change#) AS fuzzy_change,
       TO_CHAR(b.marked_corrupt + b.media_corrupt + b.logically_corrupt) AS corrupt_blocks,
       TO_CHAR(b.datafile_blocks * b.block_size) AS bytes_source,
       TO_CHAR(b.blocks * b.block_size) AS bytes_stored,
       TO_CHAR(s.pieces) AS pieces,
       (SELECT TO_CHAR(COUNT(DISTINCT p.piece#))
          FROM v$backup_piece p
         WHERE p.set_stamp = b.set_stamp
           AND p.set_count = b.set_count
           AND p.status = 'A') AS pieces_available,
       (SELECT MAX(p.tag)
          FROM v$backup_piece p
         WHERE p.set_stamp = b.set_stamp
           AND p.set_count = b.set_count) AS tag,
       TO_CHAR(SYS_EXTRACT_UTC(FROM_TZ(CAST(s.start_time AS TIMESTAMP), TO_CHAR(SYSTIMESTAMP, 'TZH:TZM'))),
               'YYYY-MM-DD"T"HH24:MI:SS') AS started_at,
       TO_CHAR(SYS_EXTRACT_UTC(FROM_TZ(CAST(s.completion_time AS TIMESTAMP), TO_CHAR(SYSTIMESTAMP, 'TZH:TZM'))),
               'YYYY-MM-DD"T"HH24:MI:SS') AS completed_at
  FROM v$backup_datafile b
  JOIN v$backup_set_details s
    ON s.set_stamp = b.set_stamp
   AND s.set_count = b.set_count
 ORDER BY s.session_stamp, s.session_recid, b.file#;
