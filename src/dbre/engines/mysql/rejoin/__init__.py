"""A MariaDB server whose own history is given up: its files are replaced by a copy of the primary's."""
