-- The backups of one database, oldest first, at most 100 at a time: sqlcmd -y 0 cuts a value off at 1 MB.
-- @database and @after are declared above by the caller. LSNs are numeric(25,0): as text, no JSON reader rounds them.
-- Moments are in the time of the server: they become UTC with the offset that each row has, else with that of now.
-- privilege: SELECT on msdb.dbo.backupset, backupmediafamily (db_datareader of msdb)
-- Source: Microsoft, "backupset (Transact-SQL)", "backupmediafamily (Transact-SQL)", "FOR JSON".
SET NOCOUNT ON;
SELECT CAST(COALESCE((
    SELECT TOP (100)
           s.backup_set_id AS id,
           LOWER(CAST(s.backup_set_uuid AS char(36))) AS uuid,
           LOWER(CAST(s.family_guid AS char(36))) AS family,
           LOWER(CAST(s.first_recovery_fork_guid AS char(36))) AS first_fork,
           LOWER(CAST(s.last_recovery_fork_guid AS char(36))) AS last_fork,
           CAST(s.fork_point_lsn AS varchar(30)) AS fork_point,
           s.type AS type,
           s.is_copy_only AS is_copy_only,
           s.is_damaged AS is_damaged,
           s.has_backup_checksums AS has_checksums,
           s.has_incomplete_metadata AS has_incomplete_metadata,
           s.is_snapshot AS is_snapshot,
           CAST(s.first_lsn AS varchar(30)) AS first_lsn,
           CAST(s.last_lsn AS varchar(30)) AS last_lsn,
           CAST(s.checkpoint_lsn AS varchar(30)) AS checkpoint_lsn,
           CAST(s.database_backup_lsn AS varchar(30)) AS database_backup_lsn,
           CAST(s.differential_base_lsn AS varchar(30)) AS differential_base_lsn,
           LOWER(CAST(s.differential_base_guid AS char(36))) AS differential_base,
           s.recovery_model AS recovery_model,
           DATEDIFF_BIG(second, '19700101', s.backup_start_date) AS started_local,
           DATEDIFF_BIG(second, '19700101', s.backup_finish_date) AS finished_local,
           COALESCE(NULLIF(s.time_zone, 127) * 15, DATEDIFF(minute, SYSUTCDATETIME(), SYSDATETIME())) AS offset_minutes,
           CAST(s.backup_size AS bigint) AS bytes_source,
           CAST(s.compressed_backup_size AS bigint) AS bytes_stored,
           s.position AS position,
           CONCAT(s.software_major_version, '.', s.software_minor_version, '.', s.software_build_version) AS version,
           (SELECT m.family_sequence_number AS number,
                   m.physical_device_name AS path,
                   m.device_type AS device,
                   m.mirror AS mirror
              FROM msdb.dbo.backupmediafamily AS m
             WHERE m.media_set_id = s.media_set_id
               AND m.mirror = 0
             ORDER BY m.family_sequence_number
               FOR JSON PATH, INCLUDE_NULL_VALUES) AS files
      FROM msdb.dbo.backupset AS s
     WHERE s.database_name = @database
       AND s.backup_set_id > @after
     ORDER BY s.backup_set_id
       FOR JSON PATH, INCLUDE_NULL_VALUES), N'[]') AS nvarchar(max)) AS document;
