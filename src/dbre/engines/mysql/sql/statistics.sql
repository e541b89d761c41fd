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
