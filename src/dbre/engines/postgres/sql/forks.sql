-- What the files of a lost history are the files of: asked of the copy, and of the survivor.

-- name: fork_databases
-- facet: fork
-- versions: >=15
-- privilege: CONNECT
SELECT d.oid::bigint AS number, d.datname AS name
  FROM pg_catalog.pg_database AS d
 WHERE d.datallowconn;

-- name: fork_relation
-- facet: fork
-- versions: >=15
-- privilege: CONNECT
-- parameters: tablespace bigint, number bigint
SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, c.relpersistence::text AS persistence
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = pg_catalog.pg_filenode_relation($1::bigint::oid, $2::bigint::oid);
