-- Incarnations: each OPEN RESETLOGS begins one, as a promotion begins a timeline.
-- privilege: SYSBACKUP (or SELECT on V_$DATABASE_INCARNATION)
-- Source: Oracle Database Reference 19c, V$DATABASE_INCARNATION.
SELECT TO_CHAR(n.incarnation#) AS incarnation,
       TO_CHAR(n.prior_incarnation#) AS prior,
       TO_CHAR(n.resetlogs_change#) AS resetlogs_change,
       n.status AS status
  FROM v$database_incarnation n
 ORDER BY n.incarnation#;
