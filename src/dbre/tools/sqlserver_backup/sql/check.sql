-- DBCC CHECKDB by Ola Hallengren's procedure; the result is in dbo.CommandLog as well. @database is declared above.
-- privilege: EXECUTE on dbo.DatabaseIntegrityCheck; sysadmin or db_owner for DBCC CHECKDB
-- Source: https://ola.hallengren.com/sql-server-integrity-check.html
SET NOCOUNT ON;
DECLARE @databases nvarchar(max) = QUOTENAME(@database), @result int;
EXECUTE @result = dbo.DatabaseIntegrityCheck
    @Databases = @databases,
    @CheckCommands = N'CHECKDB',
    @LogToTable = N'Y';
IF @result <> 0 RAISERROR(N'dbo.DatabaseIntegrityCheck returned %d', 16, 1, @result);
