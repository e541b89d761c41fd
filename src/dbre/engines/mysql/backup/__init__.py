"""Copies of MariaDB: mariadb-backup for the files, the binary log for the time after them."""
