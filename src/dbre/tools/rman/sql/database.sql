-- The database itself, what RMAN is configured to do, and whether redo of a thread may still be missing.
-- privilege: SYSBACKUP (or SELECT on V_$DATABASE, V_$INSTANCE, V_$RMAN_CONFIGURATION, V_$DATABASE_BLOCK_CORRUPTION)
-- Source: Oracle Database Reference 19c, V$DATABASE, V$INSTANCE, V$RMAN_CONFIGURATION, V$DATABASE_BLOCK_CORRUPTION.
SELECT TO_CHAR(d.dbid) AS dbid,
       d.name AS name,
       d.log_mode AS log_mode,
       i.version AS version,
       (SELECT MAX(c.value) FROM v$rman_configuration c WHERE c.name = 'CONTROLFILE AUTOBACKUP') AS autobackup,
       (SELECT MAX(c.value) FROM v$rman_configuration c WHERE c.name = 'RETENTION POLICY') AS retention,
       (SELECT TO_CHAR(COUNT(*)) FROM v$database_block_corruption) AS corrupt_ranges
  FROM v$database d
 CROSS JOIN v$instance i;
