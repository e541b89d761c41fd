"""Dumps of MariaDB: statements by mariadb-dump, loaded into a new server by mariadb."""
