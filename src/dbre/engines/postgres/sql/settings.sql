-- Server parameters. Those for superusers are not among them without pg_read_all_settings, which pg_monitor holds.

-- name: settings
-- facet: settings
-- versions: >=15
-- privilege: CONNECT
SELECT s.name,
       s.reset_val AS value, -- not "setting": our own session has limits of its own
       s.unit,
       s.boot_val AS default_value,
       CASE WHEN s.source <> 'session' THEN s.source
            WHEN s.reset_val = s.boot_val THEN 'default'
            ELSE 'configured' -- below our session's value PostgreSQL does not tell where its own comes from
        END AS source,
       s.context,
       s.pending_restart AS is_pending_restart
  FROM pg_catalog.pg_settings AS s
 ORDER BY s.name COLLATE "C";
