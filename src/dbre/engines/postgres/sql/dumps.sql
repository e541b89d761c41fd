-- What dumps ask of a server before they are taken, and of a new one before they are loaded.

-- name: dump_login
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT r.rolsuper AS is_superuser,
       r.rolsuper OR r.rolbypassrls AS sees_every_row,
       pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may_read_passwords,
       (SELECT b.rolname::text FROM pg_catalog.pg_roles AS b WHERE b.oid = 10) AS bootstrap_role
  FROM pg_catalog.pg_roles AS r
 WHERE r.rolname = current_user;

-- name: dump_databases
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- Those that a session can be opened in; -2 marks one whose DROP was interrupted.
SELECT d.datname::text AS name,
       pg_catalog.has_database_privilege(d.oid, 'CONNECT') AS may_connect,
       CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
            THEN pg_catalog.pg_database_size(d.oid)
        END AS bytes
  FROM pg_catalog.pg_database AS d
 WHERE d.datallowconn AND d.datconnlimit <> -2
 ORDER BY d.datname;

-- name: dump_tablespaces
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
SELECT t.spcname::text AS name
  FROM pg_catalog.pg_tablespace AS t
 WHERE t.spcname NOT IN ('pg_default', 'pg_global')
 ORDER BY t.spcname;

-- name: dump_contents
-- facet: backup
-- versions: >=15
-- privilege: CONNECT
-- Of the database that the session is in. What belongs to an extension is made by CREATE EXTENSION, not dumped.
WITH relations AS (
    SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, n.oid AS schema_id, c.relrowsecurity
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S')
       AND c.relpersistence <> 't'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT (SELECT pg_catalog.array_agg(e.extname::text || ' ' || e.extversion ORDER BY e.extname)
          FROM pg_catalog.pg_extension AS e) AS extensions,
       ARRAY(SELECT r.name FROM relations AS r
              WHERE NOT pg_catalog.has_schema_privilege(r.schema_id, 'USAGE')
                 OR NOT pg_catalog.has_table_privilege(r.oid, 'SELECT')
              ORDER BY r.name LIMIT 101) AS unreadable,
       ARRAY(SELECT r.name FROM relations AS r
              WHERE r.relrowsecurity AND pg_catalog.row_security_active(r.oid)
              ORDER BY r.name LIMIT 101) AS filtered,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata) AS large_objects,
       (SELECT pg_catalog.count(*)
          FROM pg_catalog.pg_largeobject_metadata AS m
         WHERE NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
           AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) AS a
                            WHERE a.privilege_type = 'SELECT'
                              AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))) AS closed_large_objects,
       (SELECT pg_catalog.count(*)
          FROM pg_catalog.pg_class AS c
         WHERE c.relpersistence = 'u' AND c.relkind = 'r') AS unlogged_tables;

-- name: dump_available
-- facet: backup
-- versions: >=13
-- privilege: CONNECT
SELECT e.name::text AS name, e.default_version AS version
  FROM pg_catalog.pg_available_extensions AS e;

-- name: dump_close
-- facet: backup
-- versions: >=13
-- privilege: ALTER SYSTEM ON PARAMETER
-- On a new server of ours: nobody but a session that insists on it changes what was loaded.
ALTER SYSTEM SET default_transaction_read_only = on;

-- name: dump_open
-- facet: backup
-- versions: >=13
-- privilege: ALTER SYSTEM ON PARAMETER
ALTER SYSTEM RESET default_transaction_read_only;

-- name: dump_reload
-- facet: backup
-- versions: >=13
-- privilege: EXECUTE ON pg_reload_conf
SELECT pg_catalog.pg_reload_conf() AS is_sent;

-- name: dump_is_closed
-- facet: backup
-- versions: >=13
-- privilege: CONNECT
SELECT pg_catalog.current_setting('default_transaction_read_only') = 'on' AS is_closed;
