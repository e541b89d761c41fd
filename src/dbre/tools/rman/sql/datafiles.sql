-- The data files that a whole backup must have.
-- privilege: SYSBACKUP (or SELECT on V_$DATAFILE)
-- Source: Oracle Database Reference 19c, V$DATAFILE.
SELECT TO_CHAR(f.file#) AS file_number,
       TO_CHAR(f.creation_change#) AS creation_change
  FROM v$datafile f
 ORDER BY f.file#;
