-- One backup by Ola Hallengren's procedure, in the database where it is installed. @database, @type are declared above.
-- @ChangeBackupType stays N: a differential without its full fails, where Y would quietly make a full of it.
-- @CleanupTime is not given: nothing is deleted.
-- privilege: EXECUTE on dbo.DatabaseBackup and what it needs (db_backupoperator, VIEW SERVER STATE)
-- Source: https://ola.hallengren.com/sql-server-backup.html
SET NOCOUNT ON;
DECLARE @databases nvarchar(max) = QUOTENAME(@database), @result int;
EXECUTE @result = dbo.DatabaseBackup
    @Databases = @databases,
    @BackupType = @type,
    @Verify = N'Y',
    @CheckSum = N'Y',
    @Compress = N'Y',
    @ChangeBackupType = N'N',
    @LogToTable = N'Y';
IF @result <> 0 RAISERROR(N'dbo.DatabaseBackup returned %d', 16, 1, @result);
