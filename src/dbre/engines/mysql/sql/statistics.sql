-- Counters and gauges of the server.

-- name: global_status
-- facet: statistics
-- versions: *
-- privilege: USAGE
SHOW GLOBAL STATUS;

-- name: global_variables
-- facet: statistics
-- versions: *
-- privilege: USAGE
SHOW GLOBAL VARIABLES;

-- name: database_sizes
-- facet: statistics
-- products: mariadb
-- versions: >=10.5
-- privilege: PROCESS
-- InnoDB names its files "database/table" in the character set of file names, in which a blank is @0020. Unlike
-- information_schema.TABLES this shows databases on which we hold no privilege.
SELECT CONVERT(CONVERT(SUBSTRING_INDEX(s.NAME, '/', 1) USING binary) USING filename) AS database_name,
       SUM(s.FILE_SIZE) AS size_bytes
  FROM information_schema.INNODB_SYS_TABLESPACES AS s
 WHERE s.NAME LIKE '%/%'
 GROUP BY database_name;
