"""Error codes of databases, as data: which of them speak against the database.

What is listed nowhere is the caller's fault: what nobody looked at must not spend a budget. The codes are the ones that the
engines of dbre judge their probes by, but for logins: a wrong password is an application's own affair.

Source: PostgreSQL manual, appendix A; error references of MariaDB, MySQL, MongoDB, SQL Server and Oracle; replies in Redis 7.
"""

__all__ = ["BAD_MONGODB", "BAD_MYSQL", "BAD_ORACLE", "BAD_REDIS", "BAD_SQLSERVER", "BAD_SQLSTATES"]

BAD_SQLSTATES = frozenset(
    {
        "08",  # connection
        "25006",  # read-only server where writes were due
        "25P03",  # idle in transaction for too long: the path was stuck
        "25P04",  # transaction timeout
        "40",  # rolled back: deadlock, serialization failure
        "53",  # out of resources, too many connections
        "55P03",  # lock not available in time
        "57",  # shutdown, crash, starting; 57014 is a timeout unless the text says that a user cancelled
        "58",  # system error outside PostgreSQL
        "XX",  # internal error, corruption
    }
)
"""Classes of two characters, and codes of five that differ from their class."""

BAD_MYSQL = frozenset(
    {
        1015, 1016, 1021, 1026, 1030, 1034, 1037, 1038, 1040, 1041, 1042, 1043, 1047, 1053, 1077, 1079, 1105, 1114, 1129, 1135,
        1152, 1158, 1159, 1160, 1161, 1194, 1195, 1203, 1205, 1213, 1290, 1836, 1927, 1969, 3024, 3168, 3169, 4031,
        *range(126, 146),  # the storage engine
        *range(2000, 2100),  # the client library: no server answered
    }
)  # fmt: skip
"""Error numbers of MySQL and MariaDB."""

BAD_REDIS = frozenset(
    {
        "BUSY", "CLUSTERDOWN", "IOERR", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN",
        "UNKILLABLE",
    }
)  # fmt: skip
"""Words with which an error reply begins."""

BAD_MONGODB = frozenset({6, 7, 50, 64, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Host unreachable, network and server timeouts, write concern failed, shutdown, not (writable) primary."""

BAD_SQLSERVER = frozenset(
    {
        -2, 20, 64, 121, 233, 701, 802, 823, 824, 825, 845, 1105, 1204, 1205, 1222, 3906, 4060, 4221, 8645, 9001, 9002, 10053,
        10054, 10060, 10928, 10929, 40143, 40197, 40501, 40540, 40613, 49918, 49919, 49920,
    }
)  # fmt: skip
"""Timeouts, lost connections, deadlock, out of memory or space, damaged pages, read-only, throttling."""

BAD_ORACLE = frozenset(
    {
        18, 20, 54, 60, 257, 600, 603, 1012, 1033, 1034, 1089, 1090, 1092, 1109, 1555, 1578, 1652, 1653, 1654, 1688, 3113, 3114,
        3135, 3136, 4030, 4031, 7445, 8177, 12152, 12170, 12500, 12514, 12516, 12518, 12520, 12528, 12537, 12541, 12543,
        12547, 12560, 12570, 12571, 16000, 16456, 25408,
    }
)  # fmt: skip
"""ORA numbers: sessions and processes exhausted, deadlock, internal errors, shutdown, space, lost connections, no listener."""
