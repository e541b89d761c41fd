-- What the server says of the database now. @database is declared above by the caller.
-- privilege: none for databases that the login may see; VIEW ANY DATABASE else; SELECT on msdb.dbo.suspect_pages
-- Source: Microsoft, "sys.databases", "DATABASEPROPERTYEX" (LastGoodCheckDbTime: 2016 SP2 and later), "suspect_pages".
SET NOCOUNT ON;
SELECT CAST(COALESCE((
    SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS version,
           d.recovery_model_desc AS recovery_model,
           d.state_desc AS state,
           d.page_verify_option_desc AS page_verify,
           CONVERT(varchar(19), CAST(DATABASEPROPERTYEX(d.name, 'LastGoodCheckDbTime') AS datetime2(0)), 126) AS checked_local,
           DATEDIFF(day, CAST(DATABASEPROPERTYEX(d.name, 'LastGoodCheckDbTime') AS datetime2(0)), SYSDATETIME()) AS checked_days,
           (SELECT COUNT(*)
              FROM msdb.dbo.suspect_pages AS p
             WHERE p.database_id = d.database_id
               AND p.event_type IN (1, 2, 3)) AS suspect_pages,
           CAST(CASE WHEN OBJECT_ID(N'dbo.DatabaseBackup', N'P') IS NULL THEN 0 ELSE 1 END AS bit) AS has_procedures
      FROM sys.databases AS d
     WHERE d.name = @database
       FOR JSON PATH, INCLUDE_NULL_VALUES), N'[]') AS nvarchar(max)) AS document;
