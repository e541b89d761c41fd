-- What probe clients do: acts whose acknowledgements are held against what is there afterwards. Opt-in: they write.
-- The ledger has no unique key on purpose: what came twice must be seen twice.

-- name: client_schema
-- facet: client
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE SCHEMA IF NOT EXISTS dbre;

-- name: client_ledger_table
-- facet: client
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE TABLE IF NOT EXISTS dbre.client_ledger (
  run text NOT NULL,
  id bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- name: client_ledger_index
-- facet: client
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE INDEX IF NOT EXISTS client_ledger_run ON dbre.client_ledger (run);

-- name: client_register_table
-- facet: client
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE TABLE IF NOT EXISTS dbre.client_register (
  run text NOT NULL,
  key bigint NOT NULL,
  value bigint NOT NULL,
  PRIMARY KEY (run, key)
);

-- name: client_list_table
-- facet: client
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE TABLE IF NOT EXISTS dbre.client_list (
  run text NOT NULL,
  key bigint NOT NULL,
  elements bigint[] NOT NULL,
  PRIMARY KEY (run, key)
);

-- name: client_account_table
-- facet: client
-- versions: >=15
-- privilege: CREATE ON DATABASE
CREATE TABLE IF NOT EXISTS dbre.client_account (
  run text NOT NULL,
  account bigint NOT NULL,
  balance bigint NOT NULL CHECK (balance >= 0),
  PRIMARY KEY (run, account)
);

-- name: client_state
-- facet: client
-- versions: >=15
-- privilege: CONNECT
SELECT count(*) AS tables
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = 'dbre'
   AND c.relname IN ('client_ledger', 'client_register', 'client_list', 'client_account');

-- name: client_accounts
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_account
-- parameters: run text, accounts integer, balance bigint
INSERT INTO dbre.client_account (run, account, balance)
SELECT $1::text, n.account, $3::bigint
  FROM pg_catalog.generate_series(1, $2::integer) AS n (account);

-- name: client_who
-- facet: client
-- versions: >=15
-- privilege: CONNECT
SELECT pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
       pg_catalog.inet_server_port() AS port,
       pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('transaction_read_only')::boolean AS is_read_only;

-- name: client_ledger_write
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, DELETE ON dbre.client_ledger
-- parameters: run text, id bigint
INSERT INTO dbre.client_ledger (run, id)
VALUES ($1::text, $2::bigint)
RETURNING pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
          pg_catalog.inet_server_port() AS port,
          pg_catalog.pg_current_wal_insert_lsn()::text AS position;

-- name: client_ledger_read
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, DELETE ON dbre.client_ledger
-- parameters: run text
SELECT pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
       pg_catalog.inet_server_port() AS port,
       COALESCE((SELECT pg_catalog.array_agg(l.id) FROM dbre.client_ledger AS l WHERE l.run = $1::text), '{}') AS ids;

-- name: client_register_read
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: run text, key bigint
SELECT pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
       pg_catalog.inet_server_port() AS port,
       (SELECT r.value FROM dbre.client_register AS r WHERE r.run = $1::text AND r.key = $2::bigint) AS value;

-- name: client_register_write
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: run text, key bigint, value bigint
INSERT INTO dbre.client_register AS r (run, key, value)
VALUES ($1::text, $2::bigint, $3::bigint)
ON CONFLICT (run, key) DO UPDATE SET value = EXCLUDED.value
RETURNING pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
          pg_catalog.inet_server_port() AS port,
          pg_catalog.pg_current_wal_insert_lsn()::text AS position;

-- name: client_register_cas
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: run text, key bigint, old bigint, new bigint
UPDATE dbre.client_register AS r
   SET value = $4::bigint
 WHERE r.run = $1::text
   AND r.key = $2::bigint
   AND r.value = $3::bigint
RETURNING pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
          pg_catalog.inet_server_port() AS port,
          pg_catalog.pg_current_wal_insert_lsn()::text AS position;

-- name: client_list_read
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_list
-- parameters: run text, key bigint
SELECT pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
       pg_catalog.inet_server_port() AS port,
       COALESCE((SELECT l.elements FROM dbre.client_list AS l WHERE l.run = $1::text AND l.key = $2::bigint), '{}') AS elements;

-- name: client_list_append
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_list
-- parameters: run text, key bigint, element bigint
INSERT INTO dbre.client_list AS l (run, key, elements)
VALUES ($1::text, $2::bigint, ARRAY[$3::bigint])
ON CONFLICT (run, key) DO UPDATE SET elements = l.elements || EXCLUDED.elements
RETURNING pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
          pg_catalog.inet_server_port() AS port,
          pg_catalog.pg_current_wal_insert_lsn()::text AS position;

-- name: client_transfer
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_account
-- parameters: run text, from bigint, to bigint, amount bigint
UPDATE dbre.client_account AS a
   SET balance = a.balance + CASE a.account WHEN $2::bigint THEN - $4::bigint ELSE $4::bigint END
 WHERE a.run = $1::text
   AND a.account IN ($2::bigint, $3::bigint)
RETURNING pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
          pg_catalog.inet_server_port() AS port,
          pg_catalog.pg_current_wal_insert_lsn()::text AS position;

-- name: client_balances
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_account
-- parameters: run text
SELECT pg_catalog.host(pg_catalog.inet_server_addr()) AS host,
       pg_catalog.inet_server_port() AS port,
       a.account,
       a.balance
  FROM dbre.client_account AS a
 WHERE a.run = $1::text;

-- name: client_begin_serializable
-- facet: client
-- versions: >=15
-- privilege: CONNECT
BEGIN ISOLATION LEVEL SERIALIZABLE;

-- name: client_begin_repeatable_read
-- facet: client
-- versions: >=15
-- privilege: CONNECT
BEGIN ISOLATION LEVEL REPEATABLE READ;

-- name: client_begin_read_committed
-- facet: client
-- versions: >=15
-- privilege: CONNECT
BEGIN ISOLATION LEVEL READ COMMITTED;

-- name: client_commit
-- facet: client
-- versions: >=15
-- privilege: CONNECT
COMMIT;

-- name: client_rollback
-- facet: client
-- versions: >=15
-- privilege: CONNECT
ROLLBACK;

-- name: client_ledger_remove
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, DELETE ON dbre.client_ledger
-- parameters: run text
DELETE FROM dbre.client_ledger AS l WHERE l.run = $1::text;

-- name: client_register_remove
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_register
-- parameters: run text
DELETE FROM dbre.client_register AS r WHERE r.run = $1::text;

-- name: client_list_remove
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_list
-- parameters: run text
DELETE FROM dbre.client_list AS l WHERE l.run = $1::text;

-- name: client_account_remove
-- facet: client
-- versions: >=15
-- privilege: SELECT, INSERT, UPDATE, DELETE ON dbre.client_account
-- parameters: run text
DELETE FROM dbre.client_account AS a WHERE a.run = $1::text;
